// Importing, exporting, and reading stores of the batpak crate 0.x. What these calls do to events
// is in tests/scripts; here is how they are called, what they give back, and what goes on beside.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { pathToFileURL } from 'node:url'
import { EventKind, Store } from 'batpak'
import { EVENT, collect, fill, ofKind, openStore, scratch } from './scratch.mjs'

const INVALID = ofKind('INVALID_ARGUMENT')

/** An open store with thirty events of several entities, scopes, kinds and lanes. */
function openFilled(t) {
  const store = openStore(t)
  const event = (_, n) => ({
    entity: `e:${n % 5}`,
    scope: 'st'[n % 2],
    kind: EventKind.DATA + (n % 3),
    lane: n % 2,
    payload: Buffer.from([n]),
  })
  store.appendBatchSync(Array.from({ length: 30 }, event))
  return store
}

/** The path of a closed store of 20,000 events. */
function makeLarge(t) {
  const store = openStore(t)
  for (let done = 0; done < 20_000; done += 1000) fill(store, 1000, `counter:${done}`)
  store.closeSync()
  return store.path
}

/** A store of the crate 0.x, opened for reading and closed after the test. */
function openOld(t, directory) {
  const reader = Store.openSync(directory, { mode: 'readOnly' })
  t.after(() => reader.closeSync())
  return reader
}

const sequences = (events) => events.map(({ sequence }) => sequence)
const upTo = (count) => Array.from({ length: count }, (_, n) => BigInt(n))

test('a path is a string or a URL, in both forms', async (t) => {
  const store = openFilled(t)
  const directory = scratch(t)
  const ends = [['text', (file) => file], ['url', pathToFileURL]]
  for (const [name, form] of ends) {
    const old = form(path.join(directory, name))
    assert.equal((await store.exportTo(old)).exported, 30n)
    const [promised, atOnce] = [openStore(t), openStore(t)]
    assert.equal((await promised.importFrom(old)).imported, 30n)
    assert.equal(atOnce.importFromSync(old).imported, 30n)
    assert.equal(store.exportToSync(form(path.join(directory, `${name}-sync`))).exported, 30n)
  }
})

test('the filters of a read', async (t) => {
  const store = openFilled(t)
  const directory = scratch(t)
  const regions = [
    [{}, 30n], [{ entity: 'e:1' }, 6n], [{ prefix: 'e' }, 30n], [{ scope: 't' }, 15n],
    [{ kind: 0x1002 }, 10n], [{ category: 2 }, 0n], [{ lane: 1, kind: 0x1000 }, 5n],
    [{ entity: 'e:0', clocks: [1, 2] }, 4n], [{ scope: undefined, lane: 0 }, 15n],
  ]
  for (const [index, [region, events]] of regions.entries()) {
    const report = await store.exportTo(path.join(directory, `${index}`), region)
    assert.deepEqual([report.exported, report.dropped], [events, 0n], inspect(region))
    const copy = openStore(t)
    const { imported, outside } = copy.importFromSync(store.path, region)
    assert.deepEqual([imported, outside], [events, 30n - events], inspect(region))
    const payloads = (of, query) => [...of.readSync(query)].map(({ payload }) => payload)
    assert.deepEqual(payloads(copy), payloads(store, region))
  }
})

test('what is refused', async (t) => {
  const store = openFilled(t)
  const directory = scratch(t)
  const old = path.join(directory, 'old')
  const other = path.join(directory, 'other')
  store.exportToSync(old)
  const copy = openStore(t)
  const wrong = [
    [undefined], [null], [3], [Buffer.from(old)], ['a\0b'], ['\ud800'], [new URL('ftp://host/x')],
    [other, null], [other, []], [other, 'salvage'], [other, { salvge: true }],
    [other, { from: 0n }], [other, { limit: 1 }], [other, { direction: 'forward' }],
    [other, { entity: 'a', prefix: 'a' }], [other, { kind: 1, category: 1 }],
    [other, { clocks: [1] }], [other, { lane: -1 }],
  ]
  const imports = [
    ...wrong, [other, { salvage: 1 }], [other, { unvouched: 'yes' }], [other, { decrypt: null }],
    [other, { plain: true }], [other, { segmentBytes: 5 }], [''],
  ]
  const exports = [
    ...wrong, [other, { plain: 'yes' }], [other, { segmentBytes: -1 }], [''],
    [other, { segmentBytes: 2n ** 64n }], [other, { segmentBytes: '5' }], [other, { salvage: true }],
  ]
  for (const values of imports) {
    await assert.rejects(copy.importFrom(...values), INVALID, inspect(values))
    assert.throws(() => copy.importFromSync(...values), INVALID, inspect(values))
  }
  for (const values of exports) {
    await assert.rejects(store.exportTo(...values), INVALID, inspect(values))
    assert.throws(() => store.exportToSync(...values), INVALID, inspect(values))
  }
  assert.throws(() => copy.importFromSync(old, { category: 16 }), ofKind('INVALID_KIND'))
  assert.throws(() => store.exportToSync(other, { scope: '\ud800' }), ofKind('INVALID_COORDINATE'))
  assert.equal(copy.headSync().events, 0n)
  assert.deepEqual(fs.readdirSync(directory), ['old'])
})

test('reports tell everything', async (t) => {
  const store = openFilled(t)
  const old = path.join(scratch(t), 'old')
  const exported = await store.exportTo(old, { segmentBytes: 2000 })
  const files = fs.readdirSync(old).map((file) => path.join(old, file))
  const bytes = files.reduce((sum, file) => sum + fs.statSync(file).size, 0)
  assert.deepEqual(exported, {
    exported: 30n,
    hidden: 0n,
    dropped: 0n,
    segments: BigInt(files.length),
    bytes: BigInt(bytes),
    drops: [],
  })
  assert.ok(files.length > 1)
  assert.equal(store.exportToSync(`${old}-one`, { segmentBytes: undefined }).segments, 1n)
  assert.ok(store.exportToSync(`${old}-plain`, { plain: true }).bytes > exported.bytes)

  const copy = openStore(t)
  copy.appendSync({ ...EVENT, id: store.atSync(7).id })
  const report = await copy.importFrom(store.path)
  const [{ reason, ...drop }, ...others] = report.drops
  assert.match(reason, new RegExp(store.atSync(7).id))
  assert.deepEqual([drop, others], [{ segment: 0n, offset: 0n, sequence: 7n, isEvent: true }, []])
  assert.deepEqual(report, {
    source: store.statsSync().storeId,
    format: 2,
    imported: 29n,
    alreadyThere: 0n,
    hidden: 0n,
    outside: 0n,
    dropped: 1n,
    sequencesKept: false,
    keysWithoutEvents: 0n,
    drops: [{ ...drop, reason }],
  })
  const again = copy.importFromSync(store.path)
  assert.deepEqual([again.imported, again.alreadyThere, again.dropped], [0n, 29n, 1n])
})

test('damage is refused with its place, or passed over', async (t) => {
  const store = openStore(t)
  fill(store, 30)
  const old = path.join(scratch(t), 'old')
  store.exportToSync(old)
  const file = path.join(old, '000001.fbat')
  const damaged = fs.readFileSync(file)
  damaged[300] ^= 1
  fs.writeFileSync(file, damaged)
  const copy = openStore(t)
  const error = await copy.importFrom(old).catch((failure) => failure)
  const place = { segment: 1n, offset: error.offset }
  assert.equal(typeof error.offset, 'bigint')
  const careful = { salvage: false, unvouched: true, decrypt: true }
  for (const options of [undefined, { salvage: undefined }, careful]) {
    const refused = { ...ofKind('CORRUPT'), path: file, ...place }
    assert.throws(() => copy.importFromSync(old, options), refused)
  }
  assert.equal(copy.headSync().events, 0n)
  const { imported, drops } = await copy.importFrom(old, { salvage: true })
  assert.equal(imported, 29n)
  assert.deepEqual(drops, [{ ...place, isEvent: false, reason: drops[0].reason }])
  assert.equal(Object.hasOwn(drops[0], 'sequence'), false)
  assert.deepEqual(fs.readFileSync(file), damaged)
})

test('an old store opens for reading only', async (t) => {
  const store = openFilled(t)
  assert.deepEqual([store.report.format, store.report.hidden], [2, 0n])
  const old = path.join(scratch(t), 'old')
  await store.exportTo(old)
  await assert.rejects(Store.open(old), ofKind('UNSUPPORTED'))
  const reader = openOld(t, old)
  const { format, hidden, events } = reader.report
  assert.deepEqual([format, hidden, events], [1, 0n, 30n])
  assert.equal((await reader.verify()).intact, true)
  assert.deepEqual(sequences(await collect(reader.read())), upTo(30))
  await assert.rejects(reader.append(EVENT), ofKind('READ_ONLY'))
  await assert.rejects(reader.importFrom(store.path), ofKind('READ_ONLY'))
  assert.equal((await reader.exportTo(`${old}-again`)).exported, 30n)
})

test('what a receipt covers', async (t) => {
  const store = openFilled(t)
  const old = path.join(scratch(t), 'old')
  store.exportToSync(old)
  const reader = openOld(t, old)
  for (const { sequence, hash } of reader.readSync()) {
    const cover = await reader.receiptCover0x(sequence)
    assert.ok(Buffer.isBuffer(cover))
    assert.ok(cover.includes(Buffer.from(hash, 'hex')))
    assert.deepEqual(reader.receiptCover0xSync(Number(sequence)), cover)
  }
  await assert.rejects(reader.receiptCover0x(30), ofKind('NOT_FOUND'))
  for (const odd of [undefined, null, '0', -1, 0.5, 2n ** 64n]) {
    await assert.rejects(reader.receiptCover0x(odd), INVALID)
    assert.throws(() => reader.receiptCover0xSync(odd), INVALID)
  }
  assert.throws(() => store.receiptCover0xSync(0), ofKind('UNSUPPORTED'))
})

test('the event loop turns, and others read, while a store is imported', async (t) => {
  const large = makeLarge(t)
  const store = openStore(t, { seed: undefined })
  let done = false
  const importing = store.importFrom(large).finally(() => (done = true))
  let reads = 0
  while (!done) {
    const seen = await collect(store.read())
    assert.deepEqual(sequences(seen), upTo(seen.length))
    reads += 1
  }
  const { imported, sequencesKept } = await importing
  assert.deepEqual([imported, sequencesKept], [20_000n, true])
  assert.ok(reads > 0)
  assert.deepEqual(sequences([...store.readSync()]), upTo(20_000))
})

test('an import wakes those who wait and follow', async (t) => {
  const source = openFilled(t)
  const store = openStore(t)
  const waiting = store.wait(30n)
  const following = store.follow()
  const next = Array.from({ length: 30 }, () => following.next())
  await store.importFrom(source.path)
  assert.equal(await waiting, 30n)
  assert.deepEqual(sequences((await Promise.all(next)).map(({ value }) => value)), upTo(30))
  await following.return()
})

test('the same is imported by several calls at once', async (t) => {
  const large = makeLarge(t)
  const store = openStore(t)
  const reports = await Promise.all([1, 2, 3].map(() => store.importFrom(large)))
  for (const { imported, alreadyThere, dropped } of reports) {
    assert.deepEqual([imported + alreadyThere, dropped], [20_000n, 0n])
  }
  const all = reports.reduce((sum, { imported }) => sum + imported, 0n)
  assert.equal(all, 20_000n)
  assert.deepEqual(sequences([...store.readSync()]), upTo(20_000))
})

test('closing ends an import, which goes on later', async (t) => {
  const large = makeLarge(t)
  const store = openStore(t)
  const importing = store.importFrom(large).then(() => undefined, (error) => error.kind)
  await store.wait(1n)
  await store.close()
  // An import that was done by then has nothing to be told.
  assert.ok([undefined, 'CLOSED'].includes(await importing))
  const again = Store.openSync(store.path, { mode: 'existing' })
  const { events } = again.headSync()
  assert.ok(events >= 1n && events <= 20_000n)
  const { imported, alreadyThere, sequencesKept } = again.importFromSync(large)
  assert.deepEqual([imported, alreadyThere, sequencesKept], [20_000n - events, events, true])
  again.closeSync()
})
