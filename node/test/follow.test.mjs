import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Store } from 'batpak'
import { fill, ofKind, openStore } from './scratch.mjs'

test('follow gives what is there, then what comes', async (t) => {
  const store = openStore(t)
  fill(store, 2)
  const seen = []
  for await (const { sequence } of store.follow()) {
    seen.push(sequence)
    if (sequence === 5n) break
    if (sequence === 1n) setImmediate(() => fill(store, 4))
  }
  assert.deepEqual(seen, [0n, 1n, 2n, 3n, 4n, 5n])
})

test('follow can begin at the end and keep to a region', async (t) => {
  const store = openStore(t)
  fill(store, 3, 'a')
  const following = store.follow({ from: 'end', entity: 'b' })
  fill(store, 1, 'a')
  fill(store, 1, 'b')
  assert.equal((await following.next()).value.sequence, 4n)
  const next = following.next()
  fill(store, 2, 'a')
  fill(store, 1, 'b')
  assert.equal((await next).value.sequence, 7n)
  await following.return()
})

test('follow resumes where a sequence says', async (t) => {
  const store = openStore(t)
  fill(store, 5)
  const following = store.follow({ from: 3n })
  assert.equal((await following.next()).value.sequence, 3n)
  assert.equal((await following.next()).value.sequence, 4n)
  await following.return()
})

test('a signal ends following and waiting', async (t) => {
  const store = openStore(t)
  const controller = new AbortController()
  const { signal } = controller
  const reason = new Error('enough')
  const pending = [store.follow({ signal }).next(), store.wait(1n, Infinity, { signal })]
  setImmediate(() => controller.abort(reason))
  await Promise.all(pending.map((promise) => assert.rejects(promise, reason)))
  await assert.rejects(store.wait(1n, Infinity, { signal }), reason)
  await assert.rejects(store.follow({ signal }).next(), reason)
})

test('closing ends following and waiting', async (t) => {
  const store = openStore(t)
  const pending = [store.follow().next(), store.wait(1n)]
  setImmediate(() => store.closeSync())
  await Promise.all(pending.map((promise) => assert.rejects(promise, ofKind('CLOSED'))))
})

test('a read-only store follows a writer', async (t) => {
  const writer = openStore(t)
  fill(writer, 1)
  const reader = await Store.open(writer.path, { mode: 'readOnly' })
  t.after(() => reader.closeSync())
  const following = reader.follow()
  assert.equal((await following.next()).value.sequence, 0n)
  const next = following.next()
  fill(writer, 1)
  assert.equal((await next).value.sequence, 1n)
  await following.return()
  assert.throws(() => fill(reader, 1), ofKind('READ_ONLY'))
})

test('a wait gives what is visible when its time is up', async (t) => {
  const store = openStore(t)
  fill(store, 2)
  assert.equal(await store.wait(2n), 2n)
  assert.equal(await store.wait(3n, 0), 2n)
  assert.equal(await store.wait(3n, 20), 2n)
  assert.equal(store.waitSync(1), 2n)
  assert.equal(store.waitSync(3, 1), 2n)
})
