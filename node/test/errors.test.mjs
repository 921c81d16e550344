import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import path from 'node:path'
import { test } from 'node:test'
import { BatpakError, Store, errorKinds } from 'batpak'
import { EVENT, openStore, scratch } from './scratch.mjs'

test('the kinds are numbered from 1 and have names and classes', () => {
  assert.deepEqual(errorKinds.map(({ number }) => number), [...Array(22).keys()].map((n) => n + 1))
  assert.equal(new Set(errorKinds.map(({ name }) => name)).size, 22)
  const retry = Object.fromEntries(errorKinds.map(({ name, retry: after }) => [name, after]))
  assert.equal(retry.INVALID_ARGUMENT, 'NEVER')
  assert.equal(retry.LOCKED, 'LATER')
  assert.equal(retry.CLOCK_CONFLICT, 'AFTER_READING')
  assert.equal(retry.INDETERMINATE, 'AFTER_REOPENING')
  assert.ok(Object.isFrozen(errorKinds) && errorKinds.every(Object.isFrozen))
})

test('an error says what happened, where, and what can be done', (t) => {
  const directory = path.join(scratch(t), 'none')
  let error
  try {
    Store.openSync(directory, { mode: 'existing' })
  } catch (thrown) {
    error = thrown
  }
  assert.ok(error instanceof BatpakError && error instanceof Error)
  assert.equal(error.name, 'BatpakError')
  assert.equal(error.code, 'BATPAK_NOT_FOUND')
  assert.equal(error.kind, 'NOT_FOUND')
  assert.equal(error.number, 8)
  assert.equal(error.retry, 'NEVER')
  assert.ok(error.path.startsWith(directory))
  assert.ok(error.message.includes(error.path))
  assert.match(error.stack, /errors\.test\.mjs/)
})

test('the stack of a rejection leads to the caller', async (t) => {
  const store = openStore(t)
  const caller = async () => store.append({ ...EVENT, expected: 5 })
  await assert.rejects(caller, ({ stack }) => /at async .*errors\.test\.mjs/s.test(stack))
})

test('a panic ends one call, not the process', async (t) => {
  const native = createRequire(import.meta.url)('../native.node')
  const handle = native.open(false, path.join(scratch(t), 'store'), {})
  const panicked = { code: 'BATPAK_PANIC', message: 'a defect in batpak: asked for' }
  assert.throws(() => handle.panicForTest(false), panicked)
  await assert.rejects(handle.panicForTest(true), panicked)
  assert.equal(handle.head(false).events, 0n)
  await handle.close(true)
})

test('the native half refuses what has no sense, too', async (t) => {
  const native = createRequire(import.meta.url)('../native.node')
  const handle = native.open(false, path.join(scratch(t), 'store'), {})
  t.after(() => handle.close(false))
  const refused = { code: 'BATPAK_INVALID_ARGUMENT' }
  const inbox = new native.NativeInbox(() => {})
  const [append, start] = [handle.appender(), handle.starter(inbox)]
  for (const length of [1, 95, 96 + 3]) {
    // All ones: lengths far beyond the block.
    assert.throws(() => append(Buffer.alloc(length, 0xff), length, 0), refused)
    assert.throws(() => start(Buffer.alloc(length, 0xff), length, 0, 0), refused)
  }
  for (const call of [append, start]) {
    assert.throws(() => call(Buffer.alloc(8), 9, 0, 0), refused)
    assert.throws(() => call(Buffer.alloc(0), 0, 9, 0), refused)
    assert.throws(() => call('text', 0, 0, 0))
    assert.throws(() => call())
  }
  assert.equal(append(Buffer.alloc(0), 0, 0), 0)
  assert.equal(inbox.take(), null)
  for (const find of [handle.sequenceLookup(), handle.idLookup()]) {
    assert.throws(() => find(Buffer.alloc(32), 30), refused)
    assert.throws(() => find(Buffer.alloc(32), 2 ** 31), refused)
    assert.throws(() => find([], 0), refused)
    assert.equal(find(Buffer.alloc(32), 8), 16)
  }
  await assert.rejects(handle.at(-1n), refused)
  await assert.rejects(handle.at(2n ** 64n), refused)
  assert.throws(() => handle.ancestors(false, 'x', 0, 1n), refused)
  assert.throws(() => handle.ancestors(false, '0'.repeat(32), 7, 1n), refused)
  assert.throws(() => handle.read(false, { backward: false, entity: 'a', prefix: 'a' }), refused)
  assert.throws(() => handle.at('text'))
  assert.throws(() => handle.head())
  assert.equal(handle.head(false).events, 0n)
})
