import assert from 'node:assert/strict'
import { once } from 'node:events'
import path from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Store } from 'batpak'
import { EVENT, ofKind, openStore, runProcess, scratch } from './scratch.mjs'

const numbered = (count) => Array.from({ length: count }, (_, number) => number)

test('thousands in flight end in the order in which they were started', async (t) => {
  const store = openStore(t, { durability: 'written' })
  const order = []
  const appends = numbered(5000).map((number) =>
    store.append({ ...EVENT, payload: number }).then(({ sequence }) => {
      order.push(number)
      assert.equal(sequence, BigInt(number))
    }),
  )
  await Promise.all(appends)
  assert.deepEqual(order, numbered(5000))
  assert.deepEqual([...store.readSync()].map((event) => event.value()), numbered(5000))
})

test('appends that fail fail alone, and in order', async (t) => {
  const store = openStore(t)
  const order = []
  const appends = numbered(300).map((number) =>
    store.append({ ...EVENT, expected: number % 3 === 1 ? 99_999 : 'any', payload: number }).then(
      () => order.push(number),
      (error) => {
        assert.deepEqual([error.kind, number % 3], ['CLOCK_CONFLICT', 1])
        order.push(number)
      },
    ),
  )
  await Promise.all(appends)
  assert.deepEqual(order, numbered(300))
  assert.equal(store.headSync().events, 200n)
})

test('batches and single appends, with and without Promises, keep their order', async (t) => {
  const store = openStore(t, { durability: 'written' })
  const started = numbered(100).flatMap((number) => {
    const batch = store.appendBatch([EVENT, { ...EVENT, entity: 'b' }])
    return [batch, store.append({ ...EVENT, payload: number })]
  })
  const last = store.appendSync({ ...EVENT, payload: 'last' })
  assert.equal(last.sequence, 300n)
  const receipts = (await Promise.all(started)).flat()
  assert.deepEqual(receipts.map(({ sequence }) => Number(sequence)), numbered(300))
  assert.equal((await store.verify()).intact, true)
})

test('several stores have appends under way at once', async (t) => {
  const stores = numbered(8).map(() => openStore(t))
  const appends = numbered(50).flatMap(() => stores.map((store) => store.append(EVENT)))
  const receipts = await Promise.all(appends)
  const expected = numbered(50).flatMap((number) => stores.map(() => BigInt(number)))
  assert.deepEqual(receipts.map(({ sequence }) => sequence), expected)
})

test('large events and many extensions go in whole', async (t) => {
  const store = openStore(t)
  const extensions = Object.fromEntries(
    numbered(40).map((number) => [`key.n${number}`, Buffer.alloc(1500, number)]),
  )
  const payload = Buffer.alloc(9 << 20, 7)
  const name = 'ü'.repeat(500)
  await store.append({ ...EVENT, entity: name, payload, extensions })
  store.appendBatchSync([{ ...EVENT, extensions }, { ...EVENT, payload }])
  const [first, second, third] = [...store.readSync()]
  assert.equal(first.entity, name)
  assert.ok(first.payload.equals(payload) && third.payload.equals(payload))
  for (const event of [first, second]) assert.deepEqual(event.extensions, toSorted(extensions))
})

const toSorted = (object) => Object.fromEntries(Object.entries(object).sort())

test('what is under way ends before the store is closed', async (t) => {
  const directory = path.join(scratch(t), 'store')
  const store = await Store.open(directory)
  const order = []
  const appends = numbered(500).map(() => store.append(EVENT).then(() => order.push('append')))
  const closed = store.close().then(() => order.push('closed'))
  await Promise.all([...appends, closed])
  assert.deepEqual(order, [...Array(500).fill('append'), 'closed'])
  await assert.rejects(store.append(EVENT), ofKind('CLOSED'))
  const again = Store.openSync(directory)
  assert.equal(again.headSync().events, 500n)
  again.closeSync()
})

test('appends that are started while a store is being closed end, too', async (t) => {
  const store = await Store.open(path.join(scratch(t), 'store'))
  const before = store.append(EVENT)
  const closing = store.close()
  const settled = await Promise.allSettled([before, store.append(EVENT), closing, store.append(EVENT)])
  assert.deepEqual([settled[0].status, settled[2].status], ['fulfilled', 'fulfilled'])
  for (const { status, reason } of settled) {
    if (status === 'rejected') assert.equal(reason.kind, 'CLOSED')
  }
})

test('closing at once leaves no append without an answer', async (t) => {
  const store = openStore(t)
  const appends = numbered(500).map(() => store.append(EVENT))
  store.closeSync()
  const settled = await Promise.allSettled(appends)
  const accepted = settled.filter(({ status }) => status === 'fulfilled').length
  for (const { status, reason } of settled) {
    if (status === 'rejected') assert.equal(reason.kind, 'CLOSED')
  }
  const again = Store.openSync(store.path)
  assert.equal(again.headSync().events, BigInt(accepted))
  again.closeSync()
})

test('the process stays while appends are under way, and not for an idle store', (t) => {
  const directory = path.join(scratch(t), 'store')
  const lines = `
    for (let number = 0; number < 200; number += 1) {
      store.append(EVENT).then(({ sequence }) => sequence === 199n && console.log('all'))
    }`
  assert.equal(runProcess(directory, lines), 'all\n')
  assert.equal(runProcess(directory, "store.append(EVENT).then(() => console.log('one'))"), 'one\n')
  assert.equal(runProcess(directory, 'console.log(store.headSync().events)'), '201n\n')
})

test('a worker may end while appends are under way', async (t) => {
  const directory = path.join(scratch(t), 'store')
  const worker = new Worker(new URL('./fixtures/worker.mjs', import.meta.url), {
    workerData: { task: 'flood', directory },
  })
  assert.deepEqual(await once(worker, 'message'), ['ready'])
  await worker.terminate()
  const store = Store.openSync(directory)
  const { events } = store.headSync()
  assert.ok(events > 0n)
  assert.equal(store.verifySync().events, events)
  assert.equal(store.appendSync(EVENT).sequence, events)
  store.closeSync()
})

test('every worker has an inbox of its own', async (t) => {
  const directory = scratch(t)
  const workers = numbered(4).map((number) => {
    const workerData = { task: 'many', directory: path.join(directory, String(number)) }
    const worker = new Worker(new URL('./fixtures/worker.mjs', import.meta.url), { workerData })
    return Promise.all([once(worker, 'message'), once(worker, 'exit')])
  })
  const store = openStore(t)
  const own = await Promise.all(numbered(500).map(() => store.append(EVENT)))
  assert.equal(own.length, 500)
  for (const [[count]] of await Promise.all(workers)) assert.equal(count, 500)
})
