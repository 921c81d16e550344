// Snapshots, forks, and comparing stores. What these calls do to events is in tests/scripts; here
// is how they are called, what they give back, and what goes on beside.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { pathToFileURL } from 'node:url'
import { Store } from 'batpak'
import { EVENT, collect, fill, ofKind, openStore, scratch } from './scratch.mjs'

const INVALID = ofKind('INVALID_ARGUMENT')

/** An open store with forty events in several segments. */
function openFilled(t) {
  const store = openStore(t, { segmentBytes: 4096 })
  for (let number = 0; number < 40; number += 1) {
    store.appendSync({ ...EVENT, payload: Buffer.alloc(300, number) }, { durability: 'written' })
  }
  return store
}

/** Opens a copy, closed after the test. */
function openCopy(t, directory, mode = 'existing') {
  const copy = Store.openSync(directory, { mode })
  t.after(() => copy.closeSync())
  return copy
}

const segments = (directory) => {
  const names = fs.readdirSync(directory).filter((file) => file.endsWith('.fbat'))
  return names.sort().map((file) => path.join(directory, file))
}

/** How many segments are one file in both directories. */
function countShared(one, other) {
  const inodes = new Set(segments(other).map((file) => fs.statSync(file).ino))
  return segments(one).filter((file) => inodes.has(fs.statSync(file).ino)).length
}

const payloads = (events) => events.map(({ payload }) => payload)

test('a path is a string or a URL, in both forms', async (t) => {
  const store = openFilled(t)
  for (const [name, form] of [['text', (file) => file], ['url', pathToFileURL]]) {
    const directory = scratch(t)
    const copy = (end) => form(path.join(directory, `${name}-${end}`))
    assert.equal((await store.snapshotTo(copy(1))).events, 40n)
    assert.equal(store.snapshotToSync(copy(2), { earlier: copy(1) }).events, 40n)
    assert.equal((await store.snapshotTo(copy(3), { earlier: copy(2) })).events, 40n)
    assert.equal((await store.forkTo(copy(4))).events, 40n)
    assert.equal(store.forkToSync(copy(5)).events, 40n)
    assert.equal((await store.verifySnapshot(copy(1))).isPrefix, true)
    assert.equal(store.verifySnapshotSync(copy(2)).isPrefix, true)
    assert.equal((await store.diff(copy(4))).common, 40n)
    assert.equal(store.diffSync(copy(5)).common, 40n)
  }
})

test('what is refused', async (t) => {
  const store = openFilled(t)
  const directory = scratch(t)
  const copy = path.join(directory, 'copy')
  const paths = [
    [undefined], [null], [3], [Buffer.from(copy)], ['a\0b'], ['\ud800'], [new URL('ftp://host/x')],
  ]
  const wrong = [
    ...paths, [''], [copy, null], [copy, []], [copy, 'independent'], [copy, { independent: 1 }],
    [copy, { independent: null }], [copy, { independant: true }], [store.path],
    [path.join(store.path, 'inside')], [path.dirname(store.path)],
  ]
  const refused = {
    snapshotTo: [
      ...wrong, [copy, { at: 3 }], [copy, { earlier: null }], [copy, { earlier: 'a\0b' }],
      [copy, { earlier: Buffer.from(copy) }],
    ],
    forkTo: [
      ...wrong, [copy, { earlier: copy }], [copy, { at: -1 }], [copy, { at: 0.5 }],
      [copy, { at: '3' }], [copy, { at: null }], [copy, { at: 41 }], [copy, { at: 2n ** 64n }],
    ],
    verifySnapshot: paths,
    diff: paths,
  }
  for (const [method, calls] of Object.entries(refused)) {
    for (const values of calls) {
      const call = `${method} ${inspect(values)}`
      await assert.rejects(store[method](...values), INVALID, call)
      assert.throws(() => store[`${method}Sync`](...values), INVALID, call)
    }
  }
  for (const method of ['verifySnapshot', 'diff']) {
    await assert.rejects(store[method](copy), ofKind('NOT_FOUND'))
    assert.throws(() => store[`${method}Sync`](copy), ofKind('NOT_FOUND'))
  }
  await assert.rejects(store.snapshotTo(copy, { earlier: `${copy}-0` }), ofKind('NOT_FOUND'))
  assert.deepEqual(fs.readdirSync(directory), [])
})

test('a snapshot opens as the store that it is of', async (t) => {
  const store = openFilled(t)
  const head = store.headSync()
  const { storeId } = store.statsSync()
  const directory = path.join(scratch(t), 'copy')
  const report = await store.snapshotTo(directory)
  const files = segments(directory)
  assert.ok(files.length > 1)
  assert.deepEqual(report, {
    storeId,
    events: 40n,
    root: head.root,
    segments: BigInt(files.length),
    linked: BigInt(files.length - 1),
    copied: 1n,
    bytesCopied: BigInt(fs.statSync(files.at(-1)).size),
  })
  assert.equal(countShared(directory, store.path), files.length - 1)
  store.appendSync(EVENT)
  const copy = openCopy(t, directory)
  assert.deepEqual(copy.headSync(), head)
  assert.equal(copy.statsSync().storeId, storeId)
  assert.equal(copy.parent, undefined)
  const events = await collect(copy.read())
  assert.deepEqual(payloads(events), payloads([...store.readSync({ limit: 40 })]))
})

test('what a snapshot shares', async (t) => {
  const store = openFilled(t)
  const directory = scratch(t)
  const [first, later, last] = ['first', 'later', 'last'].map((name) => path.join(directory, name))
  const all = segments(store.path).length
  const apart = await store.snapshotTo(first, { independent: true })
  const bytes = segments(first).reduce((sum, file) => sum + fs.statSync(file).size, 0)
  assert.deepEqual([apart.linked, apart.copied], [0n, BigInt(all)])
  assert.equal(apart.bytesCopied, BigInt(bytes))
  assert.equal(countShared(first, store.path), 0)

  const { linked, copied } = store.snapshotToSync(later, { earlier: first, independent: true })
  assert.deepEqual([linked, copied], [BigInt(all - 1), 1n])
  assert.deepEqual([countShared(later, store.path), countShared(later, first)], [0, all - 1])
  const usual = { earlier: undefined, independent: undefined }
  assert.equal((await store.snapshotTo(last, usual)).linked, BigInt(all - 1))
})

test('a snapshot is intact or damaged', async (t) => {
  const store = openFilled(t)
  const directory = path.join(scratch(t), 'copy')
  const { root } = store.snapshotToSync(directory, { independent: true })
  store.appendSync(EVENT)
  const check = await store.verifySnapshot(directory)
  const { lastHash, segments: count } = check.report
  assert.deepEqual(check, {
    isPrefix: true,
    report: {
      intact: true,
      events: 40n,
      dropped: 0n,
      tombstones: 0n,
      erased: 0n,
      segments: count,
      lastHash,
      root,
      findings: [],
    },
    diff: { common: 40n, ours: 41n, theirs: 40n },
  })

  const copy = openCopy(t, directory)
  copy.appendSync({ ...EVENT, entity: 'b' })
  copy.closeSync()
  const parted = store.verifySnapshotSync(directory)
  assert.deepEqual([parted.isPrefix, parted.report.intact], [false, true])
  assert.deepEqual(parted.diff, { common: 40n, ours: 41n, theirs: 41n })

  const [file] = segments(directory)
  const content = fs.readFileSync(file)
  content[300] ^= 1
  fs.writeFileSync(file, content)
  const damaged = await store.verifySnapshot(directory)
  assert.deepEqual([damaged.isPrefix, damaged.report.intact], [false, false])
  assert.equal(damaged.report.findings[0].segment, 1n)
  assert.equal(Object.hasOwn(damaged, 'diff'), false)
})

test('a fork goes its own way', async (t) => {
  const store = openFilled(t)
  const directory = scratch(t)
  const [whole, half] = ['whole', 'half'].map((name) => path.join(directory, name))
  const ours = store.statsSync()
  const [all, some] = [await store.forkTo(whole), store.forkToSync(half, { at: 20 })]
  assert.deepEqual([all.events, all.root], [40n, store.headSync().root])
  assert.deepEqual([some.events, some.root], [20n, store.headAtSync(20).root])
  assert.equal(new Set([all.storeId, some.storeId, ours.storeId]).size, 3)
  assert.equal((await store.forkTo(`${half}-0`, { at: 0n })).events, 0n)
  assert.equal((await store.forkTo(`${half}-1`, { independent: true, at: undefined })).linked, 0n)

  const fork = openCopy(t, half)
  const parent = { storeId: ours.storeId, events: 20n, root: some.root }
  assert.deepEqual([store.parent, fork.parent], [undefined, parent])
  const { storeId, lineageId } = fork.statsSync()
  assert.deepEqual([storeId, lineageId], [some.storeId, ours.lineageId])
  assert.deepEqual(payloads([...fork.readSync()]), payloads([...store.readSync({ limit: 20 })]))
  await fork.append(EVENT)
  await store.append(EVENT)
  assert.deepEqual(await fork.diff(store.path), { common: 20n, ours: 21n, theirs: 41n })
  assert.deepEqual(store.diffSync(half), { common: 20n, ours: 41n, theirs: 21n })
  assert.equal((await fork.verify()).intact, true)
  assert.equal((await store.verify()).intact, true)
  fork.closeSync()
  assert.deepEqual(fork.parent, parent)
})

test('a fork cuts no batch', async (t) => {
  const store = openStore(t)
  fill(store, 3)
  const directory = path.join(scratch(t), 'fork')
  const error = await store.forkTo(directory, { at: 1 }).catch((failure) => failure)
  assert.equal(error.kind, 'INVALID_ARGUMENT')
  assert.match(error.message, /fork at 0 or at 3/)
  assert.equal((await store.forkTo(directory, { at: 3 })).events, 3n)
})

test('stores that are no relatives have nothing in common', async (t) => {
  const [store, other] = [openStore(t), openStore(t, { seed: 2 })]
  const event = { ...EVENT, id: 'aa'.repeat(16), timestampUs: 0 }
  for (const each of [store, other]) each.appendSync(event)
  const diff = { common: 0n, ours: 1n, theirs: 1n }
  assert.deepEqual(await store.diff(other.path), diff)
  const check = await store.verifySnapshot(other.path)
  assert.deepEqual([check.isPrefix, check.diff], [false, diff])
})

test('a copy is not put over another one', async (t) => {
  const store = openFilled(t)
  const directory = scratch(t)
  const copy = path.join(directory, 'copy')
  store.snapshotToSync(copy)
  for (const method of ['snapshotTo', 'forkTo']) {
    await assert.rejects(store[method](copy), INVALID)
    assert.throws(() => store[`${method}Sync`](copy), INVALID)
  }
  assert.equal((await store.verifySnapshot(copy)).isPrefix, true)
  fs.mkdirSync(path.join(directory, 'empty'))
  assert.equal((await store.forkTo(path.join(directory, 'empty'))).events, 40n)
})

test('copies are made while others append', async (t) => {
  const store = openFilled(t)
  const directory = scratch(t)
  const appended = payloads([...store.readSync()])
  const makeCopies = async (number) => {
    const before = appended.length
    const [snapshot, fork] = ['snapshot', 'fork'].map((kind) => path.join(directory, kind + number))
    const [first, second] = [await store.snapshotTo(snapshot), await store.forkTo(fork)]
    assert.ok(before <= first.events && first.events <= second.events && second.events <= 240n)
    return { snapshot, fork, events: first.events, more: second.events }
  }
  const copying = [0, 1, 2].map(makeCopies)
  for (let number = 0; number < 200; number += 1) {
    const payload = Buffer.alloc(300, `${number} `)
    await store.append({ ...EVENT, payload }, { durability: 'buffered' })
    appended.push(payload)
  }
  for (const { snapshot, fork, events, more } of await Promise.all(copying)) {
    assert.equal((await store.verifySnapshot(snapshot)).isPrefix, true)
    assert.equal((await store.diff(fork)).common, more)
    const copy = openCopy(t, snapshot, 'readOnly')
    assert.deepEqual(payloads([...copy.readSync()]), appended.slice(0, Number(events)))
  }
})

test('a reader copies a store that another appends to', async (t) => {
  const store = openFilled(t)
  const directory = scratch(t)
  const reader = openCopy(t, store.path, 'readOnly')
  store.appendSync(EVENT, { durability: 'written' })
  const copy = path.join(directory, 'copy')
  assert.equal((await reader.snapshotTo(copy)).events, 41n)
  assert.equal((await reader.forkTo(path.join(directory, 'fork'), { at: 40 })).events, 40n)
  assert.equal((await reader.verifySnapshot(copy)).isPrefix, true)
  assert.deepEqual(await reader.diff(store.path), { common: 41n, ours: 41n, theirs: 41n })
})

test('closing while a copy is made leaves a whole one or none', async (t) => {
  const store = openFilled(t)
  const directory = scratch(t)
  const copies = ['snapshotTo', 'forkTo'].map((method) => ({
    copy: path.join(directory, method),
    made: store[method](path.join(directory, method)).then(
      ({ events }) => events,
      (error) => error.kind,
    ),
  }))
  await store.close()
  for (const { copy, made } of copies) {
    const outcome = await made
    if (outcome === 'CLOSED') {
      assert.equal(fs.existsSync(copy), false)
    } else {
      assert.equal(outcome, 40n)
      const { intact, events } = await openCopy(t, copy).verify()
      assert.deepEqual([intact, events], [true, 40n])
    }
  }
})
