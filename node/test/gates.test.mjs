import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EventKind } from 'batpak'
import { EVENT, collect, ofKind, openStore } from './scratch.mjs'

const permit = { name: 'permit', check: () => undefined }
const deny = { name: 'deny', check: () => ({ code: 'LIMIT', message: 'over the limit' }) }

test('a gate sees the event as it would be stored', (t) => {
  const store = openStore(t)
  let seen
  const look = {
    name: 'look',
    check(event) {
      seen = event
    },
  }
  store.appendSync({ ...EVENT, payload: { a: 1 }, lane: 2, timestampUs: 3 }, { gates: [look] })
  assert.deepEqual([seen.entity, seen.lane, seen.timestampUs, seen.expected], ['a', 2, 3n, 'any'])
  assert.deepEqual(store.atSync(0n).payload, seen.payload)
  assert.ok(Object.isFrozen(seen))
})

test('one refusal refuses the whole batch', async (t) => {
  const store = openStore(t)
  const small = {
    name: 'small',
    check: ({ payload }) =>
      payload.length > 3 ? { code: 'TOO_BIG', message: 'too big' } : undefined,
  }
  const events = ['abc', 'abcd'].map((text) => ({ ...EVENT, payload: Buffer.from(text) }))
  const outcomes = [{ gate: 'small', verdict: 'deny', code: 'TOO_BIG', message: 'too big' }]
  const expected = { ...ofKind('DENIED'), number: 7, retry: 'NEVER', outcomes }
  await assert.rejects(store.appendBatch(events, { gates: [small] }), expected)
  assert.throws(() => store.appendBatchSync(events, { gates: [small] }), expected)
  assert.equal(store.headSync().events, 0n)
  assert.equal((await store.appendBatch(events.slice(0, 1), { gates: [small] })).length, 1)
})

test('after a refusal the rest is skipped, or asked', (t) => {
  const store = openStore(t)
  const verdicts = (gateMode) => {
    try {
      store.appendSync(EVENT, { gates: [permit, deny, permit], gateMode })
    } catch (error) {
      return error.outcomes.map(({ verdict }) => verdict)
    }
  }
  assert.deepEqual(verdicts('failFast'), ['permit', 'deny', 'skipped'])
  assert.deepEqual(verdicts(undefined), ['permit', 'deny', 'skipped'])
  assert.deepEqual(verdicts('all'), ['permit', 'deny', 'permit'])
})

test('a refusal can be recorded', async (t) => {
  const store = openStore(t)
  const options = { gates: [permit, deny, permit], recordDenial: true }
  await assert.rejects(store.append(EVENT, options), ofKind('DENIED'))
  assert.throws(() => store.appendSync(EVENT, options), ofKind('DENIED'))
  const records = await collect(store.read({ kind: EventKind.DENIAL }))
  assert.equal(records.length, 2)
  const value = records[0].value()
  assert.equal(value.kind, EventKind.DATA)
  assert.deepEqual(value.gates, [
    { gate: 'permit', verdict: 'permit', code: '', message: '' },
    { gate: 'deny', verdict: 'deny', code: 'LIMIT', message: 'over the limit' },
    { gate: 'permit', verdict: 'skipped', code: '', message: '' },
  ])
  const outcomes = [{ gate: 'own', verdict: 'deny', code: 'C', message: 'm' }]
  assert.equal((await store.recordDenial(EVENT, outcomes)).sequence, 2n)
  assert.equal(store.recordDenialSync(EVENT, outcomes, { durability: 'written' }).sequence, 3n)
})

test('a gate that fails lets nothing pass', async (t) => {
  const store = openStore(t)
  const cause = new TypeError('a slip')
  const broken = {
    throws() {
      throw cause
    },
    promise: async () => undefined,
    boolean: () => true,
    nothing: () => null,
    text: () => 'no',
    half: () => ({ code: 'C' }),
    more: () => ({ code: 'C', message: 'm', extra: 1 }),
  }
  for (const [name, check] of Object.entries(broken)) {
    const gates = [{ name, check }]
    await assert.rejects(store.append(EVENT, { gates }), ofKind('CALLBACK'), name)
    assert.throws(() => store.appendSync(EVENT, { gates }), ofKind('CALLBACK'), name)
  }
  assert.equal(store.headSync().events, 0n)
  const gates = [{ name: 'throws', check: broken.throws }, deny]
  const message = 'the gate failed: TypeError: a slip'
  const outcomes = [
    { gate: 'throws', verdict: 'deny', code: 'GATE_DEFECT', message },
    { gate: 'deny', verdict: 'deny', code: 'LIMIT', message: 'over the limit' },
  ]
  const options = { gates, gateMode: 'all', recordDenial: true }
  assert.throws(() => store.appendSync(EVENT, options), { ...ofKind('CALLBACK'), cause, outcomes })
  assert.deepEqual(store.atSync(0n).value().gates, outcomes)
})

test('a store that takes no events does not ask its gates', (t) => {
  const store = openStore(t)
  store.closeSync()
  assert.throws(() => store.appendSync(EVENT, { gates: [deny] }), ofKind('CLOSED'))
})
