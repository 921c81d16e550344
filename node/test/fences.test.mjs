// Fences. What they do to events is in the scripts of fences; here are the two forms of their
// methods, the event loop, and what becomes of a fence that is disposed of or forgotten.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Event, Store } from 'batpak'
import { EVENT, collect, ofKind, openStore, scratch } from './scratch.mjs'

const staged = (payload) => ({ ...EVENT, payload: Buffer.from(payload) })
const payloads = (store) => [...store.readSync()].map(({ payload }) => payload.toString())

/** How many files of fences this process has open; they have no name any more. */
function fenceFiles() {
  const descriptors = fs.readdirSync('/proc/self/fd')
  const targets = descriptors.map((descriptor) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${descriptor}`)
    } catch {
      // The one that listed the others.
      return ''
    }
  })
  return targets.filter((target) => target.includes('/fence-')).length
}

test('what is staged is there once it is committed, in both forms', async (t) => {
  const store = openStore(t)
  const first = store.beginFence()
  assert.equal(first.append(staged('1')), 0)
  const later = { ...staged('2'), causation: { item: 0 }, extensions: { 'x.y': Buffer.from('z') } }
  assert.equal(first.appendBatch([later, { ...EVENT, payload: { three: 3 } }]), 1)
  assert.equal(first.appendBatch([]), 3)
  assert.equal(first.events, 3n)
  assert.equal(store.headSync().events, 0n)
  const committed = await first.commit()
  assert.deepEqual(committed, { firstSequence: 0n, events: 3n, duplicate: false })
  const [one, two, three] = store.readSync()
  assert.equal(two.causation, one.id)
  assert.deepEqual(two.extensions, { 'x.y': Buffer.from('z') })
  assert.deepEqual(three.value(), { three: 3 })

  const second = store.beginFence({ memoryBytes: 0 })
  second.append(staged('4'))
  const expected = { firstSequence: 3n, events: 1n, duplicate: false }
  assert.deepEqual(second.commitSync({ durability: 'buffered' }), expected)
  const empty = { firstSequence: 4n, events: 0n, duplicate: false }
  assert.deepEqual(await store.beginFence().commit(), empty)
})

test('a fence is repeated as a whole', async (t) => {
  const store = openStore(t)
  const id = 'ab'.repeat(16)
  for (const duplicate of [false, true]) {
    const fence = store.beginFence()
    fence.append({ ...staged('1'), id })
    assert.deepEqual(await fence.commit(), { firstSequence: 0n, events: 1n, duplicate })
  }
  const fence = store.beginFence()
  fence.append({ ...staged('other'), id })
  await assert.rejects(fence.commit(), ofKind('IDEMPOTENCY_CONFLICT'))
})

test('a commit that fails leaves the fence open', async (t) => {
  const store = openStore(t)
  const fence = store.beginFence()
  fence.append({ ...staged('1'), expected: 0 })
  await assert.rejects(fence.commit(), { ...ofKind('CLOCK_CONFLICT'), retry: 'AFTER_READING' })
  assert.throws(() => fence.commitSync(), ofKind('CLOCK_CONFLICT'))
  assert.equal(fence.events, 1n)
  store.appendSync(staged('0'))
  assert.equal((await fence.commit()).firstSequence, 1n)
})

test('its own events are read back', async (t) => {
  const store = openStore(t)
  const fence = store.beginFence({ memoryBytes: 1000n })
  const id = 'cd'.repeat(16)
  fence.append({ ...EVENT, payload: 0, id, timestampUs: 7n })
  const rest = Array.from({ length: 2999 }, (_, index) => ({ ...EVENT, payload: index + 1 }))
  fence.appendBatch(rest)
  for (const events of [[...fence.readSync()], await collect(fence.read())]) {
    assert.equal(events.length, 3000)
    assert.ok(events.every((event, place) => event.sequence === BigInt(place)))
    assert.ok(events.every((event, place) => event.value() === place))
  }
  const [first, second] = fence.readSync()
  assert.ok(first instanceof Event)
  assert.deepEqual([first.id, first.timestampUs, first.clock], [id, 7n, 0])
  assert.deepEqual([second.id, second.hash, second.wallUs], ['0'.repeat(32), '0'.repeat(64), 0n])
  const sizes = { events: 1200 }
  const lengths = (pages) => pages.map(({ length }) => length)
  assert.deepEqual(lengths(await collect(fence.pages({ from: 500 }, sizes))), [1200, 1200, 100])
  assert.deepEqual(lengths([...fence.pagesSync({ from: 2999n }, sizes)]), [1])
  assert.deepEqual([...fence.readSync({ from: 3000 })], [])
  fence.cancel()
  assert.equal(second.value(), 1)
  assert.equal(store.headSync().events, 0n)
})

test('reading goes on with what is staged meanwhile', async (t) => {
  const fence = openStore(t).beginFence()
  fence.appendBatch([staged('0'), staged('1')])
  const reading = fence.read()
  assert.equal((await reading.next()).value.payload.toString(), '0')
  fence.append(staged('2'))
  const others = await collect(reading)
  assert.deepEqual(others.map(({ payload }) => payload.toString()), ['1', '2'])
})

test('a fence that has ended refuses everything', async (t) => {
  const endings = {
    commit: (fence) => fence.commit(),
    commitSync: (fence) => fence.commitSync(),
    cancel: (fence) => fence.cancel(),
    dispose: (fence) => fence[Symbol.dispose](),
    close: (_, store) => store.close(),
  }
  for (const [ending, end] of Object.entries(endings)) {
    const store = openStore(t)
    const fence = store.beginFence()
    fence.append(EVENT)
    const reading = fence.read()
    await end(fence, store)
    assert.throws(() => fence.append(EVENT), ofKind('CLOSED'), ending)
    assert.throws(() => fence.appendBatch([]), ofKind('CLOSED'), ending)
    assert.throws(() => fence.events, ofKind('CLOSED'), ending)
    assert.throws(() => fence.readSync().next(), ofKind('CLOSED'), ending)
    assert.throws(() => fence.pagesSync().next(), ofKind('CLOSED'), ending)
    assert.throws(() => fence.commitSync(), ofKind('CLOSED'), ending)
    assert.throws(() => fence.cancel(), ofKind('CLOSED'), ending)
    await assert.rejects(reading.next(), ofKind('CLOSED'), ending)
    await assert.rejects(fence.pages().next(), ofKind('CLOSED'), ending)
    await assert.rejects(fence.commit(), ofKind('CLOSED'), ending)
    fence[Symbol.dispose]()
    if (ending === 'close') continue
    assert.equal(store.headSync().events, ending.startsWith('commit') ? 1n : 0n)
  }
})

test('disposing cancels what was not committed', async (t) => {
  const store = openStore(t)
  const fence = store.beginFence({ memoryBytes: 0 })
  fence.append(staged('1'))
  assert.equal(fenceFiles(), 1)
  fence[Symbol.dispose]()
  assert.equal(fenceFiles(), 0)
  const other = store.beginFence()
  other.append(staged('2'))
  await other.commit()
  other[Symbol.dispose]()
  assert.deepEqual(payloads(store), ['2'])
})

test('a commit that is under way is not cancelled', async (t) => {
  const store = openStore(t)
  for (let turn = 0; turn < 10; turn += 1) {
    const fence = store.beginFence({ memoryBytes: 0 })
    fence.append(staged(`${turn}`))
    const committing = fence.commit()
    const cancelled = await Promise.resolve()
      .then(() => fence.cancel())
      .then(() => true, () => false)
    // One of the two was first, and the other one is told.
    const outcome = await committing.then(({ events }) => events, ({ kind }) => kind)
    assert.equal(outcome, cancelled ? 'CLOSED' : 1n)
    const found = payloads(store).includes(`${turn}`)
    assert.equal(found, !cancelled)
  }
})

test('what is refused', async (t) => {
  const store = openStore(t, { maxPayloadBytes: 100 })
  for (const options of [null, 3, [], { memory: 1 }, { memoryBytes: -1 }, { memoryBytes: '1' }]) {
    assert.throws(() => store.beginFence(options), ofKind('INVALID_ARGUMENT'))
  }
  const fence = store.beginFence({})
  fence.append(EVENT)
  const events = [
    [undefined, 'INVALID_ARGUMENT'],
    [{ ...EVENT, expcted: 1 }, 'INVALID_ARGUMENT'],
    [{ ...EVENT, entity: 'a/b' }, 'INVALID_COORDINATE'],
    [{ ...EVENT, kind: 1 }, 'INVALID_KIND'],
    [{ ...EVENT, payload: Buffer.alloc(101) }, 'TOO_LARGE'],
    [{ ...EVENT, causation: { item: 9 } }, 'INVALID_ARGUMENT'],
  ]
  for (const [event, kind] of events) {
    assert.throws(() => fence.append(event), ofKind(kind))
    assert.throws(() => fence.appendBatch([EVENT, event]), ofKind(kind))
  }
  assert.throws(() => fence.appendBatch(EVENT), ofKind('INVALID_ARGUMENT'))
  assert.throws(() => fence.read({ start: 1 }), ofKind('INVALID_ARGUMENT'))
  assert.throws(() => fence.readSync({ from: -1 }), ofKind('INVALID_ARGUMENT'))
  assert.throws(() => fence.pagesSync({}, { events: 0 }), ofKind('INVALID_ARGUMENT'))
  for (const options of [{ durability: 'safe' }, { gates: [] }, 'written']) {
    await assert.rejects(fence.commit(options), ofKind('INVALID_ARGUMENT'))
    assert.throws(() => fence.commitSync(options), ofKind('INVALID_ARGUMENT'))
  }
  assert.throws(() => new fence.constructor(), ofKind('INVALID_ARGUMENT'))
  assert.deepEqual(await fence.commit(), { firstSequence: 0n, events: 1n, duplicate: false })
  const reader = Store.openSync(store.path, { mode: 'readOnly' })
  assert.throws(() => reader.beginFence(), ofKind('READ_ONLY'))
  reader.closeSync()
})

test('what was handed in may change once it is staged', async (t) => {
  const store = openStore(t)
  const payload = Buffer.from('before')
  const fence = store.beginFence()
  fence.append({ ...EVENT, payload })
  payload.fill('x')
  await fence.commit()
  assert.deepEqual(payloads(store), ['before'])
})

test('fences and appends are under way at once', async (t) => {
  const store = openStore(t)
  const commits = Array.from({ length: 20 }, (_, index) => {
    const fence = store.beginFence({ memoryBytes: index % 2 ? 0 : 1 << 20 })
    fence.appendBatch([1, 2, 3].map(() => ({ ...EVENT, entity: `f:${index}` })))
    return fence.commit({ durability: 'written' })
  })
  const appends = Array.from({ length: 100 }, () => store.append(EVENT))
  const [done] = await Promise.all([Promise.all(commits), Promise.all(appends)])
  for (const [index, { firstSequence, events }] of done.entries()) {
    const found = [...store.readSync({ from: firstSequence, limit: events })]
    assert.deepEqual(found.map(({ entity }) => entity), Array(3).fill(`f:${index}`))
  }
  assert.equal(store.headSync().events, 160n)
  assert.ok(store.verifySync().intact)
})

test('a commit wakes those who wait and follow', async (t) => {
  const store = openStore(t)
  for (const commit of ['commit', 'commitSync']) {
    const { events } = store.headSync()
    const following = store.follow({ from: 'end' })
    const [waiting, next] = [store.wait(events + 2n), following.next()]
    const fence = store.beginFence()
    fence.appendBatch([staged(commit), EVENT])
    await fence[commit]()
    assert.equal(await waiting, events + 2n)
    assert.equal((await next).value.payload.toString(), commit)
    await following.return()
  }
})

test('a fence that nobody holds is given up, and so is its store', async (t) => {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc')
  const directory = path.join(scratch(t), 'store')
  const stageAndForget = () => {
    const fence = Store.openSync(directory).beginFence({ memoryBytes: 0 })
    fence.append({ ...staged('1'), id: 'ab'.repeat(16) })
    assert.equal(fenceFiles(), 1)
  }
  stageAndForget()
  // Finalizers run in turns of the event loop after a collection.
  let store
  for (let turn = 0; store === undefined && turn < 100; turn += 1) {
    collectGarbage()
    await new Promise(setImmediate)
    try {
      store = Store.openSync(directory)
    } catch (error) {
      assert.equal(error.kind, 'LOCKED')
    }
  }
  assert.equal(fenceFiles(), 0)
  store.appendSync({ ...staged('other'), id: 'ab'.repeat(16) })
  assert.deepEqual(payloads(store), ['other'])
  store.closeSync()
})

test('a fence keeps its store open', async (t) => {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc')
  const directory = path.join(scratch(t), 'store')
  const fence = Store.openSync(directory).beginFence()
  fence.append(staged('1'))
  for (let turn = 0; turn < 5; turn += 1) {
    collectGarbage()
    await new Promise(setImmediate)
  }
  assert.equal((await fence.commit()).events, 1n)
  assert.throws(() => Store.openSync(directory), ofKind('LOCKED'))
  fence[Symbol.dispose]()
})
