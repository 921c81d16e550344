// Repairing. What a repair makes of which damage is in tests/scripts and in the tests of core; here is
// how it is called, and what comes back.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { pathToFileURL } from 'node:url'
import { EventKind, Store, repair, repairSync } from 'batpak'
import { EVENT, ofKind, openStore, scratch } from './scratch.mjs'

/** The path of a closed store of forty events in several segments, of two entities by turns. */
function makeFilled(t) {
  const store = openStore(t, { segmentBytes: 4096 })
  for (let number = 0; number < 40; number += 1) {
    const event = { ...EVENT, entity: `a:${number % 2}`, payload: Buffer.alloc(300, number) }
    store.appendSync(event, { durability: 'written' })
  }
  store.closeSync()
  return store.path
}

function flip(file, offset) {
  const bytes = fs.readFileSync(file)
  bytes[offset] ^= 1
  fs.writeFileSync(file, bytes)
}

/** The same, with an event in the second segment that cannot be read. */
function makeDamaged(t) {
  const damaged = makeFilled(t)
  flip(path.join(damaged, '000002.fbat'), 1000)
  return damaged
}

/** What `use` gives back of the store, which is closed behind it. */
function withStore(directory, mode, use) {
  const store = Store.openSync(directory, { mode })
  try {
    return use(store)
  } finally {
    store.closeSync()
  }
}

/** Payloads by sequence. */
const payloads = (store) =>
  new Map([...store.readSync()].map(({ sequence, payload }) => [sequence, payload]))

const hashes = (directory) =>
  withStore(directory, 'readOnly', (store) => [...store.readSync()].map(({ hash }) => hash))

/** The bytes of every file. */
function filesOf(directory) {
  const names = fs.readdirSync(directory)
  return new Map(names.map((name) => [name, fs.readFileSync(path.join(directory, name))]))
}

/** What both forms report, which is the same with a seed. */
async function repairBoth(t, damaged, options) {
  const directory = scratch(t)
  const [one, other] = [path.join(directory, 'one'), path.join(directory, 'other')]
  const report = await repair(damaged, one, { seed: 7, ...options })
  assert.deepEqual(repairSync(damaged, other, { seed: 7n, ...options }), report)
  assert.deepEqual(hashes(one), hashes(other))
  return { report, copy: one }
}

test('what is repaired and reported', async (t) => {
  const damaged = makeDamaged(t)
  const files = filesOf(damaged)
  const { readable, storeId, damage } = withStore(damaged, 'salvage', (salvage) => ({
    readable: payloads(salvage),
    storeId: salvage.statsSync().storeId,
    damage: salvage.report.damage,
  }))
  const missing = Array.from({ length: 40 }, (_, at) => BigInt(at)).filter((at) => !readable.has(at))
  assert.equal(missing.length, 1)
  const [lost] = missing
  const { report, copy } = await repairBoth(t, damaged)
  assert.deepEqual(filesOf(damaged), files)

  withStore(copy, 'existing', (store) => {
    assert.equal(report.leftOut.length, 1)
    const [{ offset, bytes, why }] = report.leftOut
    assert.deepEqual(report, {
      source: storeId,
      storeId: store.statsSync().storeId,
      kept: lost,
      appended: 39n - lost,
      dropped: 0n,
      lost: 1n,
      lostEvents: [{ firstSequence: lost, events: 1n }],
      leftOut: [{ segment: 2n, offset, bytes, firstSequence: lost, events: 1n, why }],
      damage,
      verify: store.verifySync(),
    })
    assert.ok(offset <= 1000n && 1000n < offset + bytes)
    assert.notEqual(why, '')
    assert.ok(damage.length > 0)
    assert.deepEqual([report.verify.intact, report.verify.events], [true, 40n])
    const { kind, entity } = store.atSync(lost)
    assert.deepEqual([kind, entity], [EventKind.TOMBSTONE, 'batpak:repair'])
    const { root } = store.headAtSync(lost)
    assert.deepEqual(store.parent, { storeId, events: lost, root })
    const found = payloads(store)
    assert.equal(found.get(lost).length, 0)
    found.delete(lost)
    assert.deepEqual(found, readable)
    assert.equal(store.appendSync(EVENT).sequence, 40n)
  })
})

test('altered events are kept if asked for', async (t) => {
  // Without a manifest and a header, nothing says of which log the events are.
  const damaged = makeFilled(t)
  const segments = fs.readdirSync(damaged).filter((file) => file.endsWith('.fbat'))
  for (const segment of segments) flip(path.join(damaged, segment), 8)
  fs.rmSync(path.join(damaged, 'manifest'))
  const without = (await repairBoth(t, damaged, { keepAltered: false })).report
  const nobody = '0'.repeat(32)
  assert.deepEqual([without.source, without.kept, without.appended], [nobody, 0n, 0n])
  const { report, copy } = await repairBoth(t, damaged, { keepAltered: true })
  assert.deepEqual([report.source, report.kept, report.appended], [nobody, 0n, 40n])
  const found = withStore(copy, 'readOnly', payloads)
  const expected = Array.from({ length: 40 }, (_, at) => [BigInt(at), Buffer.alloc(300, at)])
  assert.deepEqual(found, new Map(expected))
})

test('the places of so many lost events are held', async (t) => {
  const damaged = makeFilled(t)
  fs.rmSync(path.join(damaged, '000002.fbat'))
  const { lost } = (await repairBoth(t, damaged, { maxLost: undefined })).report
  assert.ok(lost > 1n)
  const copy = path.join(scratch(t), 'copy')
  await assert.rejects(repair(damaged, copy, { maxLost: lost - 1n }), ofKind('TOO_LARGE'))
  assert.throws(() => repairSync(damaged, copy, { maxLost: lost - 1n }), ofKind('TOO_LARGE'))
  assert.equal(fs.existsSync(copy), false)
  assert.equal((await repair(damaged, copy, { maxLost: Number(lost) })).lost, lost)
})

test('the size of segments', async (t) => {
  // What is appended anew goes there in groups of 1 MiB.
  const store = openStore(t, { durability: 'written' })
  for (let i = 0; i < 4; i += 1) store.appendSync({ ...EVENT, payload: Buffer.alloc(1 << 20) })
  store.closeSync()
  flip(path.join(store.path, '000001.fbat'), 1000)
  const large = (await repairBoth(t, store.path)).report
  const small = (await repairBoth(t, store.path, { segmentBytes: 1 << 20 })).report
  assert.deepEqual([large.kept, small.kept], [0n, 0n])
  assert.deepEqual([large.verify.segments, small.verify.segments], [1n, 3n])
})

test('dropped events are told from lost ones', async (t) => {
  const damaged = makeFilled(t)
  withStore(damaged, 'existing', (store) => {
    const { eventsDropped } = store.compactSync({ retention: { entity: 'a:1', before: 30 } })
    assert.equal(eventsDropped, 15n)
  })
  // The newest segment has no event. Of the other one, the third event is hit.
  const segments = fs.readdirSync(damaged).filter((file) => file.endsWith('.fbat'))
  const size = (file) => fs.statSync(path.join(damaged, file)).size
  const [largest] = segments.sort((one, other) => size(other) - size(one))
  flip(path.join(damaged, largest), 1000)
  const { report } = await repairBoth(t, damaged)
  const { kept, appended, dropped, lost, lostEvents, leftOut, verify } = report
  assert.deepEqual([kept, appended, dropped, lost], [2n, 23n, 14n, 1n])
  assert.deepEqual(lostEvents, [{ firstSequence: 2n, events: 1n }])
  const others = Array.from({ length: 14 }, (_, at) => BigInt(3 + 2 * at))
  assert.deepEqual(leftOut.map(({ firstSequence }) => firstSequence), [2n, ...others])
  assert.deepEqual([verify.events, verify.dropped], [40n, 1n])
})

test('a path is a string or a URL', async (t) => {
  const damaged = makeDamaged(t)
  for (const form of [(directory) => directory, pathToFileURL]) {
    const directory = scratch(t)
    const copy = (name) => form(path.join(directory, name))
    assert.equal((await repair(form(damaged), copy('one'))).lost, 1n)
    assert.equal(repairSync(form(damaged), copy('other')).lost, 1n)
  }
})

test('what is refused', async (t) => {
  const damaged = makeDamaged(t)
  const copy = path.join(scratch(t), 'copy')
  const refused = async (kind, ...values) => {
    await assert.rejects(repair(...values), ofKind(kind), inspect(values))
    assert.throws(() => repairSync(...values), ofKind(kind), inspect(values))
  }
  for (const odd of [undefined, null, 3, Buffer.from('a'), 'a\0b', new URL('ftp://host/x'), '']) {
    await refused('INVALID_ARGUMENT', odd, copy)
    await refused('INVALID_ARGUMENT', damaged, odd)
  }
  const options = [
    null, 3, { keep: true }, { keepAltered: 1 }, { keepAltered: null }, { maxLost: -1 },
    { maxLost: 2n ** 64n }, { maxLost: '3' }, { segmentBytes: 0 }, { segmentBytes: 0.5 }, { seed: -1n },
  ]
  for (const odd of options) await refused('INVALID_ARGUMENT', damaged, copy, odd)

  const store = openStore(t)
  store.appendSync(EVENT)
  await refused('LOCKED', store.path, copy)
  const old = path.join(scratch(t), 'old')
  store.exportToSync(old)
  await refused('UNSUPPORTED', old, copy)
  await refused('NOT_FOUND', path.join(scratch(t), 'missing'), copy)
  store.closeSync()
  await refused('INVALID_ARGUMENT', store.path, old)
  assert.equal(fs.existsSync(copy), false)
  assert.equal((await repair(store.path, copy)).kept, 1n)
})
