import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EVENT, collect, fill, openStore } from './scratch.mjs'

test('the event loop turns while a wait is under way', async (t) => {
  const store = openStore(t)
  const order = []
  // The wait can only end because the timer ran: nothing else appends.
  const waiting = store.wait(1n).then((visible) => order.push(`visible ${visible}`))
  setTimeout(() => {
    order.push('timer')
    fill(store, 1)
  }, 1)
  await waiting
  assert.deepEqual(order, ['timer', 'visible 1'])
})

test('waits leave the pool to others', async (t) => {
  // Far more waits than the pool has threads. The append that they wait for needs a thread too.
  const stores = Array.from({ length: 12 }, () => openStore(t))
  const waits = stores.flatMap((store) => Array.from({ length: 8 }, () => store.wait(1n)))
  for (const store of stores) await store.append(EVENT)
  assert.deepEqual(await Promise.all(waits), Array(96).fill(1n))
})

test('waits for different numbers end one after the other', async (t) => {
  const store = openStore(t)
  const order = []
  const waits = [3n, 1n, 2n].map((events) => store.wait(events).then(() => order.push(events)))
  for (let count = 1; count <= 3; count += 1) {
    fill(store, 1)
    await store.wait(BigInt(count))
  }
  await Promise.all(waits)
  assert.deepEqual(order, [1n, 2n, 3n])
})

test('the event loop turns while a store is verified and read', async (t) => {
  const store = openStore(t)
  const payload = Buffer.alloc(1 << 20)
  for (let count = 0; count < 16; count += 1) {
    store.appendSync({ ...EVENT, payload }, { durability: 'written' })
  }
  let turns = 0
  let running = true
  const turn = () => {
    turns += 1
    if (running) setImmediate(turn)
  }
  setImmediate(turn)
  const [report, pages] = await Promise.all([store.verify(), collect(store.pages())])
  running = false
  assert.equal(report.intact, true)
  assert.equal(pages.flat().length, 16)
  assert.ok(turns > 0)
})
