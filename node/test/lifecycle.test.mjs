import assert from 'node:assert/strict'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import * as imported from 'batpak'
import { EVENT, fill, ofKind, openStore, scratch } from './scratch.mjs'

const { Store } = imported

test('import and require give the same instance', () => {
  const required = createRequire(import.meta.url)('batpak')
  assert.deepEqual(Object.keys(imported).sort(), Object.keys(required).sort())
  for (const name of Object.keys(required)) assert.equal(imported[name], required[name], name)
})

test('a store is opened by path or by URL, with or without a Promise', async (t) => {
  const directory = path.join(scratch(t), 'store')
  const store = await Store.open(pathToFileURL(directory))
  assert.equal(store.path, directory)
  fill(store, 1)
  await store.close()
  const again = Store.openSync(directory, { mode: 'existing' })
  const { created, clean, events } = again.report
  assert.deepEqual([created, clean, events], [false, true, 1n])
  again.closeSync()
})

test('modes decide what may be there', async (t) => {
  const directory = path.join(scratch(t), 'store')
  await assert.rejects(Store.open(directory, { mode: 'existing' }), ofKind('NOT_FOUND'))
  Store.openSync(directory, { mode: 'createNew' }).closeSync()
  assert.throws(() => Store.openSync(directory, { mode: 'createNew' }), imported.BatpakError)
})

test('a second writer is refused, with or without a Promise', async (t) => {
  const store = openStore(t)
  assert.throws(() => Store.openSync(store.path), { ...ofKind('LOCKED'), retry: 'LATER' })
  await assert.rejects(Store.open(store.path), ofKind('LOCKED'))
  store.closeSync()
  Store.openSync(store.path).closeSync()
})

test('a closed store refuses everything but closing', async (t) => {
  const store = openStore(t)
  fill(store, 1)
  const { id } = store.atSync(0n)
  await store.close()
  await store.close()
  store.closeSync()
  const calls = {
    append: [EVENT],
    appendBatch: [[EVENT]],
    recordDenial: [EVENT, [{ gate: 'g', verdict: 'deny', code: 'C' }]],
    get: [id],
    at: [0n],
    ancestors: [id],
    head: [],
    streamHead: ['a'],
    frontier: [],
    stats: [],
    verify: [],
    importFrom: [store.path],
    exportTo: [`${store.path}-old`],
    receiptCover0x: [0n],
    snapshotTo: [`${store.path}-snapshot`],
    verifySnapshot: [store.path],
    forkTo: [`${store.path}-fork`],
    diff: [store.path],
    refresh: [],
    wait: [1n, 0],
    flush: [],
    sync: [],
  }
  for (const [method, values] of Object.entries(calls)) {
    await assert.rejects(() => store[method](...values), ofKind('CLOSED'), method)
    assert.throws(() => store[`${method}Sync`](...values), ofKind('CLOSED'), method)
  }
  assert.throws(() => store.beginFence(), ofKind('CLOSED'))
  await assert.rejects(store.read().next(), ofKind('CLOSED'))
  assert.throws(() => store.readSync().next(), ofKind('CLOSED'))
  await assert.rejects(store.follow().next(), ofKind('CLOSED'))
})

test('disposing closes', async (t) => {
  const store = openStore(t)
  store[Symbol.dispose]()
  assert.throws(() => fill(store, 1), ofKind('CLOSED'))
  const other = openStore(t)
  assert.equal(await other[Symbol.asyncDispose](), undefined)
  assert.throws(() => fill(other, 1), ofKind('CLOSED'))
})

test('closing during a read ends the read with an error', async (t) => {
  const store = openStore(t)
  fill(store, 3000)
  const reading = store.pages()
  assert.equal((await reading.next()).value.length, 1024)
  store.closeSync()
  await assert.rejects(reading.next(), ofKind('CLOSED'))
})

test('a store that nobody holds is given up', async (t) => {
  const { setFlagsFromString } = await import('node:v8')
  const { runInNewContext } = await import('node:vm')
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc')
  const directory = path.join(scratch(t), 'store')
  const openAndForget = () => fill(Store.openSync(directory), 1)
  openAndForget()
  let store
  // Finalizers run in turns of the event loop after a collection.
  for (let turn = 0; store === undefined && turn < 100; turn += 1) {
    collectGarbage()
    await new Promise(setImmediate)
    try {
      store = Store.openSync(directory)
    } catch (error) {
      assert.equal(error.kind, 'LOCKED')
    }
  }
  assert.equal(store.headSync().events, 1n)
  store.closeSync()
})

test('damage is refused with its place, and salvaged', (t) => {
  const store = openStore(t, { segmentBytes: 4096 })
  for (let count = 0; count < 40; count += 1) fill(store, 1)
  store.closeSync()
  const segment = fs.readdirSync(store.path).filter((name) => name.endsWith('.fbat')).sort()[0]
  const file = path.join(store.path, segment)
  const bytes = fs.readFileSync(file)
  bytes[1000] ^= 1
  fs.writeFileSync(file, bytes)
  const reader = Store.openSync(store.path, { mode: 'salvage' })
  t.after(() => reader.closeSync())
  const report = reader.verifySync()
  assert.equal(report.intact, false)
  assert.ok(report.findings.length > 0)
  for (const finding of report.findings) {
    assert.equal(typeof finding.segment, 'bigint')
    assert.equal(typeof finding.offset, 'bigint')
    assert.match(finding.kind, /^[A-Z]+$/)
  }
})
