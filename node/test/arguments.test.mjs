import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { BatpakError, Event, EventKind, Store, decodePayload, operationId } from 'batpak'
import { EVENT, fill, ofKind, openStore } from './scratch.mjs'

const INVALID = ofKind('INVALID_ARGUMENT')
const EMPTY = Buffer.alloc(0)

// A value of every type, for arguments that take only a few of them.
const ODD = [
  undefined, null, true, -1, 1.5, NaN, Infinity, 2 ** 53, -1n, 2n ** 64n, '', 'zz', '\ud800',
  Symbol('s'), () => {}, {}, [], new Date(NaN), new Map(), Buffer.alloc(3), new Uint16Array(2),
  new ArrayBuffer(4), new Proxy({}, {}),
]

/** Checks that every odd value but those that are allowed is refused in both forms. */
async function refuses(store, method, make, allowed = []) {
  for (const odd of ODD.filter((value) => !allowed.some((ok) => Object.is(ok, value)))) {
    const values = make(odd)
    const refused = ({ name, kind }) => name === 'BatpakError' && /^(INVALID|NOT_FOUND)/.test(kind)
    const message = `${method}(${inspect(values)})`
    await assert.rejects(async () => store[method](...values), refused, message)
    assert.throws(() => store[`${method}Sync`](...values), refused, message)
  }
}

test('ids, sequences, names and counts', async (t) => {
  const store = openStore(t)
  fill(store, 1)
  await refuses(store, 'get', (value) => [value])
  await refuses(store, 'at', (value) => [value])
  await refuses(store, 'ancestors', (value) => [value])
  await refuses(store, 'ancestors', (limit) => ['1'.repeat(32), { limit }])
  await refuses(store, 'streamHead', (value) => [value], ['zz'])
  await refuses(store, 'streamHead', (lane) => ['a', lane], [undefined])
  await refuses(store, 'wait', (value) => [value, 0])
  await refuses(store, 'wait', (timeout) => [1n, timeout], [undefined, 1.5, Infinity, 2 ** 53])
})

test('fields of an event', async (t) => {
  const store = openStore(t)
  const field = (name) => (value) => [{ ...EVENT, [name]: value }]
  await refuses(store, 'append', (value) => [value])
  await refuses(store, 'append', field('entity'), ['zz'])
  await refuses(store, 'append', field('scope'), ['zz'])
  await refuses(store, 'append', field('kind'))
  await refuses(store, 'append', field('expected'), [undefined])
  await refuses(store, 'append', field('id'), [undefined])
  await refuses(store, 'append', field('correlation'), [undefined])
  await refuses(store, 'append', field('causation'), [undefined])
  for (const name of ['lane', 'depth', 'flags', 'payloadVersion']) {
    await refuses(store, 'append', field(name), [undefined])
  }
  await refuses(store, 'append', field('timestampUs'), [undefined, -1, -1n])
  const odd = [null, 'text', 5, [1], { 'k.v': 'text' }, [['k.v', 5]], { bare: EMPTY }]
  for (const extensions of odd) {
    assert.throws(() => store.appendSync({ ...EVENT, extensions }), INVALID, inspect(extensions))
  }
  assert.equal(store.headSync().events, 0n)
})

test('a slip in the name of a field is refused', async (t) => {
  const store = openStore(t)
  const slip = { ...EVENT, expcted: 3 }
  assert.throws(() => store.appendSync(slip), { ...INVALID, message: /expcted/ })
  assert.throws(() => store.appendSync(EVENT, { durabilty: 'written' }), INVALID)
  assert.throws(() => store.readSync({ enitty: 'a' }), INVALID)
  assert.throws(() => store.read({ enitty: 'a' }), INVALID)
  assert.throws(() => store.pages({}, { size: 1 }), INVALID)
  assert.throws(() => store.follow({ limit: 1 }), INVALID)
  await assert.rejects(store.wait(1n, 0, { singal: 1 }), INVALID)
  await assert.rejects(Store.open(store.path, { readonly: true }), INVALID)
  assert.throws(() => store.appendSync({ ...EVENT, causation: { itm: 0 } }), INVALID)
})

test('words, ranges and combinations', async (t) => {
  const store = openStore(t)
  const queries = [
    { direction: 'up' }, { clocks: [1] }, { clocks: [2, 1] }, { clocks: 3 }, { category: 'x' },
    { entity: 'a', prefix: 'a' }, { kind: 1, category: 1 }, { limit: -1 }, { from: 1.5 },
  ]
  for (const query of queries) {
    await assert.rejects(async () => store.read(query).next(), INVALID, inspect(query))
    assert.throws(() => store.readSync(query).next(), INVALID, inspect(query))
  }
  assert.throws(() => store.readSync({ category: 16 }), ofKind('INVALID_KIND'))
  assert.throws(() => store.readSync({ entity: 'a/b' }).next(), ofKind('INVALID_COORDINATE'))
  assert.throws(() => store.pagesSync({}, { events: 0 }), INVALID)
  assert.throws(() => store.follow({ from: 'start' }), INVALID)
  assert.throws(() => store.follow({ signal: {} }), INVALID)
  assert.throws(() => store.appendSync(EVENT, { durability: 'maybe' }), INVALID)
  assert.throws(() => store.appendSync(EVENT, { gates: [{}] }), INVALID)
  assert.throws(() => store.appendSync(EVENT, { gates: [null] }), INVALID)
  const gates = [{ name: 'g', check: () => undefined }]
  assert.throws(() => store.appendSync(EVENT, { gates, gateMode: 'some' }), INVALID)
  assert.throws(() => store.appendSync(EVENT, { gates, recordDenial: 'no' }), INVALID)
  assert.throws(() => store.appendSync(EVENT, { gates: gates[0] }), INVALID)
  assert.throws(() => store.appendBatchSync('text'), INVALID)
  assert.throws(() => store.appendBatchSync([EVENT, null]), INVALID)
  assert.throws(() => store.recordDenialSync(EVENT, [{ gate: 'g', verdict: 'maybe' }]), INVALID)
  assert.throws(() => store.appendSync({ ...EVENT, kind: 0x0001 }), ofKind('INVALID_KIND'))
  assert.throws(() => store.appendSync({ ...EVENT, kind: 0x10000 }), ofKind('INVALID_KIND'))
  for (const entity of ['a|b', '\udc00']) {
    assert.throws(() => store.appendSync({ ...EVENT, entity }), ofKind('INVALID_COORDINATE'))
  }
  const twice = [['k.v', EMPTY], ['k.v', EMPTY]]
  assert.throws(() => store.appendSync({ ...EVENT, extensions: twice }), INVALID)
  assert.throws(() => store.appendSync({ ...EVENT, causation: { item: 0 } }), INVALID)
  assert.equal(store.headSync().events, 0n)
})

test('options of opening', async () => {
  const cases = [
    [3], [undefined], ['a\0b'], [new URL('ftp://host/x')], ['x', { mode: 'append' }], ['x', 7],
    ['x', { segmentBytes: 1 }], ['x', { maxPayloadBytes: 2 ** 32 }], ['x', { seed: -1n }],
    ['x', { durability: 'never' }], ['x', { bufferMs: '5' }],
    ['x', { cacheBytes: -1 }],
  ]
  for (const values of cases) {
    await assert.rejects(Store.open(...values), INVALID, inspect(values))
    assert.throws(() => Store.openSync(...values), INVALID, inspect(values))
  }
})

test('events are read the same with and without a cache', (t) => {
  for (const cacheBytes of [0, 64n << 10n, 1 << 20]) {
    const store = openStore(t, { cacheBytes })
    for (let n = 0; n < 300; n++) store.appendSync({ ...EVENT, payload: Buffer.alloc(500, n) })
    for (let n = 0; n < 300; n++) {
      assert.deepEqual(Buffer.from(store.atSync(n).payload), Buffer.alloc(500, n))
    }
  }
})

test('limits of payloads are those of the store', (t) => {
  const store = openStore(t, { maxPayloadBytes: 8 })
  store.appendSync({ ...EVENT, payload: Buffer.alloc(8) })
  assert.throws(() => store.appendSync({ ...EVENT, payload: Buffer.alloc(9) }), ofKind('TOO_LARGE'))
})

test('the whole range of every number', (t) => {
  const store = openStore(t)
  const times = [-(2n ** 63n), -1n, 0n, 2n ** 63n - 1n, Number.MAX_SAFE_INTEGER, -5]
  for (const timestampUs of times) {
    const receipt = store.appendSync({ ...EVENT, timestampUs })
    assert.equal(receipt.timestampUs, BigInt(timestampUs))
    assert.equal(store.atSync(receipt.sequence).timestampUs, BigInt(timestampUs))
  }
  for (const timestampUs of [2n ** 63n, -(2n ** 63n) - 1n, 2 ** 53, 0.5]) {
    assert.throws(() => store.appendSync({ ...EVENT, timestampUs }), INVALID)
  }
  const last = 2n ** 64n - 1n
  assert.equal(store.atSync(last), undefined)
  assert.deepEqual([...store.readSync({ from: last, limit: last })], [])
  assert.equal(store.waitSync(last, 0), 6n)
  for (const sequence of [-1n, 2n ** 64n]) assert.throws(() => store.atSync(sequence), INVALID)
})

test('what only reading gives cannot be made', () => {
  assert.throws(() => new Event(), INVALID)
  assert.throws(() => new Store(), INVALID)
  assert.throws(() => Event.prototype.sequence, TypeError)
  assert.throws(() => Store.prototype.headSync.call({}), TypeError)
})

test('helpers check what they are given', () => {
  assert.equal(EventKind.of(1, 2), 0x1002)
  for (const [category, type] of [[0, 1], [0xd, 1], [16, 0], [1, 0x1000], [1.5, 0]]) {
    assert.throws(() => EventKind.of(category, type), ofKind('INVALID_KIND'))
  }
  assert.throws(() => EventKind.category(0x10000), ofKind('INVALID_KIND'))
  assert.throws(() => operationId('d', 5), INVALID)
  assert.throws(() => operationId(Symbol('d')), INVALID)
  assert.throws(() => decodePayload('text'), INVALID)
  assert.ok(new BatpakError('IO', 'made by hand') instanceof Error)
})
