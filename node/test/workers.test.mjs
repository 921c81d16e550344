import assert from 'node:assert/strict'
import { once } from 'node:events'
import path from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Store } from 'batpak'
import { EVENT, openStore, scratch } from './scratch.mjs'

function start(task, directory, how) {
  return new Worker(new URL('./fixtures/worker.mjs', import.meta.url), {
    workerData: { task, directory, how },
  })
}

async function run(task, directory) {
  const worker = start(task, directory)
  const [[result]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')])
  return result
}

test('stores work in workers, one after the other and side by side', async (t) => {
  const directory = path.join(scratch(t), 'store')
  assert.equal(await run('append', directory), 0n)
  assert.equal(await run('append', directory), 1n)
  const apart = [1, 2, 3].map((number) => run('append', `${directory}-${number}`))
  assert.deepEqual(await Promise.all(apart), [0n, 0n, 0n])
})

test('a worker is refused a second writer', async (t) => {
  const store = openStore(t)
  assert.equal(await run('second', store.path), 'BATPAK_LOCKED')
})

test('a worker follows a store that another thread writes', async (t) => {
  const store = openStore(t)
  store.appendSync({ ...EVENT, payload: 'a' })
  const worker = start('follow', store.path)
  const exit = once(worker, 'exit')
  assert.deepEqual(await once(worker, 'message'), ['ready'])
  store.appendSync({ ...EVENT, payload: 'b' })
  const found = once(worker, 'message')
  await store.append({ ...EVENT, payload: 'c' })
  assert.deepEqual(await found, [['a', 'b', 'c']])
  await exit
})

test('a worker that is stopped while it waits gives up its store', async (t) => {
  const directory = path.join(scratch(t), 'store')
  const worker = start('hang', directory)
  assert.deepEqual(await once(worker, 'message'), ['ready'])
  await worker.terminate()
  const store = Store.openSync(directory)
  assert.equal(store.headSync().events, 1n)
  store.closeSync()
})

test('a worker that ends without closing gives up its store', async (t) => {
  const directory = path.join(scratch(t), 'store')
  assert.equal(await run('forget', directory), 'forgotten')
  const store = Store.openSync(directory)
  assert.equal(store.headSync().events, 1n)
  store.closeSync()
})

test('a worker that ends with an open fence leaves nothing of it', async (t) => {
  const directory = path.join(scratch(t), 'store')
  assert.equal(await run('stage', directory), 1)
  const store = Store.openSync(directory)
  assert.equal(store.headSync().events, 0n)
  assert.deepEqual(store.report.removed, [])
  store.closeSync()
})

test('a worker may end while fences are committed, which are there whole or not at all', async (t) => {
  const directory = path.join(scratch(t), 'store')
  const worker = start('commit', directory)
  assert.deepEqual(await once(worker, 'message'), ['ready'])
  await worker.terminate()
  const store = Store.openSync(directory)
  assert.equal(store.headSync().events % 100n, 0n)
  assert.ok(store.verifySync().intact)
  store.closeSync()
})

for (const task of ['compact', 'compactSync', 'compactBusy']) {
  for (const how of task === 'compactBusy' ? ['terminated'] : ['terminated', 'exits']) {
    test(`a worker that ${how} in ${task} leaves its store as it was`, async (t) => {
      const directory = path.join(scratch(t), 'store')
      const worker = start(task, directory, how)
      const exit = once(worker, 'exit')
      await once(worker, 'message')
      if (how === 'terminated') await worker.terminate()
      await exit
      const store = Store.openSync(directory)
      assert.equal([...store.readSync()].length, 100)
      assert.deepEqual(store.report.removed, [])
      assert.ok(store.verifySync().intact)
      store.closeSync()
    })
  }
}
