import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EventKind, operationId } from 'batpak'
import { EVENT, fill, ofKind, openStore } from './scratch.mjs'

const ID = '000102030405060708090a0b0c0d0e0f'

test('a receipt says where the event is', async (t) => {
  const store = openStore(t)
  const first = await store.append({ ...EVENT, entity: 'order:1', payload: 'one' })
  const second = store.appendSync({ ...EVENT, entity: 'order:1', payload: 'two', lane: 3 })
  assert.deepEqual([first.sequence, first.clock, first.lane, first.duplicate], [0n, 0, 0, false])
  assert.deepEqual([second.sequence, second.clock, second.lane], [1n, 0, 3])
  const event = store.getSync(first.id)
  for (const field of ['id', 'sequence', 'clock', 'lane', 'timestampUs', 'wallUs', 'hash']) {
    assert.equal(event[field], first[field], field)
  }
})

test('every field comes back as it was given', async (t) => {
  const store = openStore(t)
  const given = {
    entity: 'Zoë:日本',
    scope: 'a b',
    kind: EventKind.of(0xf, 0xa01),
    payload: Buffer.from([0, 1, 255]),
    id: ID,
    correlation: 'ffeeddccbbaa99887766554433221100',
    causation: '0123456789abcdef0123456789abcdef',
    lane: 0xffff_ffff,
    depth: 0xffff_fffe,
    flags: 0xff,
    payloadVersion: 0xffff,
    timestampUs: 1_700_000_000_123_456n,
    extensions: { 'b.two': Buffer.from('2'), 'a.one': Buffer.alloc(0) },
  }
  await store.append(given)
  const event = store.getSync(ID)
  for (const field of Object.keys(given)) assert.deepEqual(event[field], given[field], field)
  assert.deepEqual(Object.keys(event.extensions), ['a.one', 'b.two'])
  assert.equal(event.prevHash, '0'.repeat(64))
  assert.match(event.hash, /^[0-9a-f]{64}$/)
  assert.equal(EventKind.category(event.kind), 0xf)
  assert.equal(EventKind.type(event.kind), 0xa01)
})

test('absent fields have their defaults', (t) => {
  const store = openStore(t)
  const receipt = store.appendSync(EVENT)
  const event = store.atSync(0n)
  assert.equal(event.payload.length, 0)
  assert.equal(event.correlation, receipt.id)
  assert.equal(event.causation, undefined)
  assert.deepEqual(event.extensions, {})
  assert.deepEqual([event.lane, event.depth, event.flags, event.payloadVersion], [0, 0, 0, 0])
})

test('ids and times have several forms', (t) => {
  const store = openStore(t)
  const bytes = store.appendSync({ ...EVENT, id: Buffer.from(ID, 'hex'), timestampUs: 5 })
  assert.deepEqual([bytes.id, bytes.timestampUs], [ID, 5n])
  const id = 'ABCDEF'.padEnd(32, '0')
  const upper = store.appendSync({ ...EVENT, id, timestampUs: new Date(7) })
  assert.deepEqual([upper.id, upper.timestampUs], [id.toLowerCase(), 7000n])
  const pairs = new Map([['k.v', Buffer.from('x')]])
  const { sequence } = store.appendSync({ ...EVENT, extensions: pairs, timestampUs: -1n })
  assert.deepEqual(store.atSync(sequence).extensions, { 'k.v': Buffer.from('x') })
  assert.equal(store.atSync(sequence).timestampUs, -1n)
})

test('a batch is there whole or not at all', async (t) => {
  const store = openStore(t)
  const [cause, effect] = await store.appendBatch([
    { ...EVENT, payload: 1 },
    { ...EVENT, entity: 'b', payload: 2, causation: { item: 0 } },
  ])
  assert.deepEqual([cause.sequence, effect.sequence], [0n, 1n])
  assert.equal(store.atSync(1n).causation, cause.id)
  assert.equal(store.atSync(0n).batchContinues, true)
  assert.equal(store.atSync(1n).batchContinues, false)
  const refused = [
    { ...EVENT, payload: 3 },
    { ...EVENT, entity: 'b', payload: 4, expected: 7 },
  ]
  await assert.rejects(store.appendBatch(refused), ofKind('CLOCK_CONFLICT'))
  assert.throws(() => store.appendBatchSync(refused), ofKind('CLOCK_CONFLICT'))
  assert.equal(store.headSync().events, 2n)
  assert.deepEqual(store.appendBatchSync([]), [])
  assert.deepEqual(await store.appendBatch([]), [])
})

test('the expected clock is any, none or exact', (t) => {
  const store = openStore(t)
  assert.throws(() => store.appendSync({ ...EVENT, expected: 0 }), ofKind('CLOCK_CONFLICT'))
  store.appendSync({ ...EVENT, expected: 'noStream' })
  assert.throws(() => store.appendSync({ ...EVENT, expected: 'noStream' }), {
    ...ofKind('CLOCK_CONFLICT'),
    number: 5,
    retry: 'AFTER_READING',
  })
  assert.equal(store.appendSync({ ...EVENT, expected: 0 }).clock, 1)
  assert.equal(store.appendSync({ ...EVENT, expected: 'any' }).clock, 2)
})

test('an id makes an append idempotent', async (t) => {
  const store = openStore(t)
  const event = { ...EVENT, payload: 'x', id: operationId('billing', 'invoice-7') }
  const first = await store.append(event)
  const again = await store.append(event)
  assert.deepEqual(again.toObject(), { ...first.toObject(), duplicate: true })
  await assert.rejects(store.append({ ...event, payload: 'y' }), ofKind('IDEMPOTENCY_CONFLICT'))
  assert.equal(store.headSync().events, 1n)
})

test('an operation id depends on every component and on where each ends', () => {
  const id = operationId('billing', 'invoice-7', 'paid')
  assert.match(id, /^[0-9a-f]{32}$/)
  assert.equal(operationId('billing', Buffer.from('invoice-7'), 'paid'), id)
  assert.notEqual(operationId('billing', 'invoice-7p', 'aid'), id)
})

test('what was handed in may change once the call returned', async (t) => {
  const store = openStore(t)
  const payload = Buffer.from('before')
  const extensions = { 'k.v': Buffer.from('before') }
  const appended = store.append({ ...EVENT, payload, extensions })
  payload.fill(0)
  extensions['k.v'].fill(0)
  const event = store.getSync((await appended).id)
  assert.equal(event.payload.toString(), 'before')
  assert.equal(event.extensions['k.v'].toString(), 'before')
})

test('durability decides what a flush and a sync have left to do', (t) => {
  const store = openStore(t, { durability: 'buffered', bufferMs: 60_000 })
  store.appendSync(EVENT)
  assert.equal(store.frontierSync().accepted, 1n)
  store.flushSync()
  assert.equal(store.frontierSync().written, 1n)
  store.syncSync()
  assert.equal(store.frontierSync().durable, 1n)
  store.appendSync(EVENT, { durability: 'durable' })
  assert.deepEqual(store.frontierSync(), { accepted: 2n, written: 2n, durable: 2n, visible: 2n })
})

test('appends in flight together all arrive', async (t) => {
  const store = openStore(t)
  const entities = Array.from({ length: 50 }, (_, number) => `e:${number}`)
  const receipts = await Promise.all(entities.map((entity) => store.append({ ...EVENT, entity })))
  const sequences = receipts.map(({ sequence }) => Number(sequence)).sort((a, b) => a - b)
  assert.deepEqual(sequences, [...entities.keys()])
  assert.equal((await store.verify()).intact, true)
})

test('an event that was read can be appended to another store', (t) => {
  const [from, to] = [openStore(t), openStore(t, { seed: 2 })]
  fill(from, 1)
  const original = from.atSync(0n)
  const { id } = to.appendSync(original)
  assert.equal(id, original.id)
  assert.deepEqual(to.atSync(0n).payload, original.payload)
})
