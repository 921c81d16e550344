// Looking at a directory without opening it. What is found in which state is in tests/scripts; here
// is how it is asked for, and what comes back.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { inspect as show } from 'node:util'
import { pathToFileURL } from 'node:url'
import { BatpakError, Store, inspect, inspectSync } from 'batpak'
import { EVENT, fill, ofKind, openStore, scratch } from './scratch.mjs'

const NOTHING = {
  opening: 'CREATES',
  storeId: '0'.repeat(32),
  lineageId: '0'.repeat(32),
  bytes: 0n,
  report: {
    created: false,
    clean: false,
    format: 0,
    events: 0n,
    hidden: 0n,
    segments: 0n,
    cutBytes: 0n,
    cutReason: '',
    removed: [],
    ignored: [],
    damage: [],
  },
}

/** What both forms find, which is the same. */
async function inspectBoth(directory) {
  const found = await inspect(directory)
  assert.deepEqual(inspectSync(directory), found)
  return found
}

/** The path of a closed store with a damaged header, and a file that is not the store's. */
function makeDamaged(t) {
  const store = openStore(t)
  store.appendSync(EVENT)
  store.closeSync()
  const segment = path.join(store.path, '000001.fbat')
  const bytes = fs.readFileSync(segment)
  bytes[8] ^= 1
  fs.writeFileSync(segment, bytes)
  fs.writeFileSync(path.join(store.path, 'notes.txt'), 'mine')
  return store.path
}

test('no store', async (t) => {
  const directory = path.join(scratch(t), 'store')
  assert.deepEqual(await inspectBoth(directory), NOTHING)
  assert.equal(fs.existsSync(directory), false)
  fs.mkdirSync(directory)
  assert.deepEqual(await inspectBoth(directory), NOTHING)
  assert.deepEqual(fs.readdirSync(directory), [])
})

test('a path is a string or a URL', async (t) => {
  const store = openStore(t)
  for (const form of [(directory) => directory, pathToFileURL]) {
    assert.equal((await inspectBoth(form(store.path))).opening, 'LOCKED')
  }
})

test('what is refused', async (t) => {
  const wrong = [undefined, null, 3, Buffer.from('a'), 'a\0b', '\ud800', new URL('ftp://host/x'), '']
  for (const directory of wrong) {
    await assert.rejects(inspect(directory), ofKind('INVALID_ARGUMENT'), show(directory))
    assert.throws(() => inspectSync(directory), ofKind('INVALID_ARGUMENT'), show(directory))
  }
  const file = path.join(scratch(t), 'file')
  fs.writeFileSync(file, 'mine')
  await assert.rejects(inspect(file), ofKind('IO'))
  assert.throws(() => inspectSync(file), ofKind('IO'))
})

test('a store through its life', async (t) => {
  const store = openStore(t)
  store.appendSync(EVENT)
  const live = await inspectBoth(store.path)
  const { storeId, lineageId, bytes } = store.statsSync()
  assert.deepEqual([live.opening, live.report.events], ['LOCKED', 1n])
  assert.deepEqual([live.storeId, live.lineageId, live.bytes], [storeId, lineageId, bytes])
  assert.equal(Object.hasOwn(live, 'refusal'), false)
  store.appendSync(EVENT)

  // As a power cut leaves it.
  const torn = path.join(scratch(t), 'torn')
  fs.cpSync(store.path, torn, { recursive: true })
  const segment = path.join(torn, '000001.fbat')
  const end = inspectSync(store.path).bytes
  fs.truncateSync(segment, Number(end))
  fs.appendFileSync(segment, 'torn')
  const { opening, report } = await inspectBoth(torn)
  assert.deepEqual([opening, report.cutBytes], ['RECOVERS', 4n])
  assert.deepEqual(report.cutAt, { segment: 1n, offset: end })
  assert.equal(fs.statSync(segment).size, Number(end) + 4)
  const recovered = Store.openSync(torn)
  assert.equal(recovered.report.cutReason, report.cutReason)
  assert.notEqual(report.cutReason, '')
  recovered.closeSync()

  const old = path.join(scratch(t), 'old')
  await store.exportTo(old)
  const exported = await inspectBoth(old)
  assert.deepEqual([exported.opening, exported.report.format], ['ONLY_READS', 1])
  store.closeSync()
  assert.equal((await inspectBoth(store.path)).opening, 'OPENS')
  assert.deepEqual([live.opening, live.report.events], ['LOCKED', 1n])
})

test('a refusal is the error of opening', async (t) => {
  const damaged = makeDamaged(t)
  const { opening, refusal, report } = await inspect(damaged)
  const refused = await Store.open(damaged).catch((error) => error)
  assert.equal(opening, 'REFUSES')
  assert.ok(refusal instanceof BatpakError)
  const told = ({ code, kind, number, retry, message, path: file, segment, offset }) =>
    ({ code, kind, number, retry, message, file, segment, offset })
  assert.deepEqual(told(refusal), told(refused))
  assert.deepEqual(told(inspectSync(damaged).refusal), told(refused))
  assert.equal(refusal.kind, 'CORRUPT')
  const salvage = Store.openSync(damaged, { mode: 'salvage' })
  assert.deepEqual(salvage.report, report)
  salvage.closeSync()
  assert.ok(report.damage.length > 0)
  assert.deepEqual(report.ignored, ['notes.txt'])
})

test('others append meanwhile', async (t) => {
  const store = openStore(t)
  let done = false
  const appending = Promise.all(Array.from({ length: 500 }, () => store.append(EVENT)))
  appending.finally(() => (done = true))
  for (let before = 0n; !done; ) {
    const { opening, report } = await inspect(store.path)
    assert.deepEqual([opening, report.damage], ['LOCKED', []])
    assert.ok(report.events >= before)
    before = report.events
  }
  assert.equal((await appending).length, 500)
  assert.equal((await inspect(store.path)).report.events, 500n)
})

test('how often a store goes on is an option', async (t) => {
  const directory = path.join(scratch(t), 'store')
  const store = await Store.open(directory, { restarts: 0, restartWindowMs: 1000 })
  fill(store, 1)
  await store.close()
  for (const odd of [-1, 0.5, 2 ** 32, 1n, '1', null]) {
    for (const options of [{ restarts: odd }, { restartWindowMs: odd }]) {
      await assert.rejects(Store.open(directory, options), ofKind('INVALID_ARGUMENT'))
      assert.throws(() => Store.openSync(directory, options), ofKind('INVALID_ARGUMENT'))
    }
  }
})
