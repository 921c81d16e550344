// Compaction. What it does to events is in tests/scripts; here is how it is called, what functions may
// do that it asks, and what ends it.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { BatpakError, EventKind, Store } from 'batpak'
import { EVENT, ofKind, openStore, runProcess } from './scratch.mjs'

const FORMS = ['compact', 'compactSync']

/** Forty events in several segments, of two entities by turns. */
function openFilled(t, options) {
  const store = openStore(t, { segmentBytes: 4096, ...options })
  for (let number = 0; number < 40; number += 1) {
    const event = {
      ...EVENT,
      entity: `a:${number % 2}`,
      scope: `s:${number % 4}`,
      kind: 0x1000 + (number % 3),
      lane: number % 2,
      payload: Buffer.alloc(300, number),
      timestampUs: number,
    }
    store.appendSync(event, { durability: 'written' })
  }
  return store
}

const upTo = (count) => Array.from({ length: count }, (_, number) => number)
const sequences = (store) => [...store.readSync()].map(({ sequence }) => Number(sequence))

/** Runs what must leave the store as it was, without leftovers. */
async function unchanged(store, run) {
  const before = [store.headSync(), sequences(store)]
  await run()
  assert.deepEqual([store.headSync(), sequences(store)], before)
  assert.equal(store.verifySync().intact, true)
  const segments = fs.readdirSync(store.path).filter((name) => name.includes('.fbat'))
  assert.equal(BigInt(segments.length), store.statsSync().segments)
}

/** The error that a call ends with, in either form. */
async function failure(store, form, options) {
  try {
    await store[form](options)
  } catch (error) {
    return error
  }
  return assert.fail('it did not fail')
}

const RULES = [
  [{ entity: 'a:1' }, (n) => n % 2 === 0],
  [{ prefix: 'a' }, () => false],
  [{ scope: 's:3' }, (n) => n % 4 !== 3],
  [{ kind: 0x1001 }, (n) => n % 3 !== 1],
  [{ category: 2 }, () => true],
  [{ lane: 1 }, (n) => n % 2 === 0],
  [{ clocks: [0, 4] }, (n) => n >= 10],
  [{ before: 30 }, (n) => n >= 30],
  [{ before: 30n, olderThanUs: 12n }, (n) => n >= 12],
  [{ olderThanUs: 0 }, () => true],
  [{ olderThanUs: -(2n ** 63n) }, () => true],
  [{ olderThanUs: new Date(1) }, () => false],
  [{ newestPerEntity: 3n }, (n) => n >= 34],
  [{ keep: ({ sequence }) => sequence > 38n }, (n) => n > 38],
  [{ before: 30, entity: 'a:0', newestPerEntity: 15 }, (n) => n >= 10 || n % 2 === 1],
]

for (const form of FORMS) {
  test(`${form}: each rule says which events go`, async (t) => {
    for (const [retention, stays] of RULES) {
      const store = openFilled(t)
      const head = store.headSync()
      const report = await store[form]({ retention })
      const left = upTo(40).filter(stays)
      assert.deepEqual(sequences(store), left)
      assert.equal(report.eventsDropped, BigInt(40 - left.length))
      assert.deepEqual(store.headSync(), head)
      assert.equal(store.statsSync().events, BigInt(left.length))
      const { intact, events, dropped, tombstones, erased } = store.verifySync()
      assert.deepEqual([intact, events, tombstones, erased], [true, 40n, 0n, 0n])
      assert.equal(dropped, report.eventsDropped)
    }
  })

  test(`${form}: what a function throws ends it and changes nothing`, async (t) => {
    const store = openFilled(t)
    const thrown = [new TypeError('mine'), 'a string', undefined, new BatpakError('IO', 'mine')]
    for (const value of thrown) {
      const asked = []
      const keep = ({ sequence }) => {
        asked.push(sequence)
        if (sequence === 25n) throw value
        return false
      }
      const progress = ({ segmentsDone }) => {
        if (segmentsDone === 3n) throw value
      }
      await unchanged(store, async () => {
        assert.equal(await failure(store, form, { retention: { keep } }), value)
        assert.equal(asked.length, 26)
        assert.equal(await failure(store, form, { retention: { prefix: 'a' }, progress }), value)
      })
    }
    // Nothing of it is in the way of the next one.
    assert.equal((await store[form]({ retention: { prefix: 'a' } })).eventsDropped, 40n)
  })

  test(`${form}: a predicate answers with a boolean, and at once`, async (t) => {
    const store = openFilled(t)
    for (const answer of [undefined, null, 0, 1, 'yes', Promise.resolve(true)]) {
      const retention = { keep: () => answer }
      await unchanged(store, async () => {
        const error = await failure(store, form, { retention })
        assert.equal(error.kind, 'INVALID_ARGUMENT')
        assert.match(error.message, /^what keep gives back is .*; it must be true or false$/s)
      })
    }
  })

  test(`${form}: functions may read and append`, async (t) => {
    const store = openFilled(t)
    const held = []
    const keep = (event) => {
      assert.deepEqual(store.atSync(event.sequence).toObject(), event.toObject())
      store.appendSync({ ...EVENT, entity: 'log' }, { durability: 'written' })
      held.push(event)
      return event.sequence % 2n === 0n
    }
    const progress = () => assert.equal([...store.readSync({ entity: 'log' })].length, held.length)
    const report = await store[form]({ retention: { keep }, progress })
    assert.equal(report.eventsDropped, 20n)
    // What is appended meanwhile is not asked about.
    assert.deepEqual(held.map(({ sequence }) => Number(sequence)), upTo(40))
    const left = upTo(80).filter((number) => number >= 40 || number % 2 === 0)
    assert.deepEqual(sequences(store), left)
    assert.deepEqual(held[7].payload, Buffer.alloc(300, 7))
  })

  test(`${form}: closing in a function ends it`, async (t) => {
    for (const where of ['keep', 'progress']) {
      const store = openFilled(t)
      const close = () => {
        store.closeSync()
        return false
      }
      const ends = where === 'keep' ? { retention: { keep: close } } : { progress: close }
      const error = await failure(store, form, { retention: { prefix: 'a' }, ...ends })
      assert.equal(error.kind, 'CLOSED')
      const again = Store.openSync(store.path, { mode: 'existing' })
      assert.equal(again.report.clean, true)
      assert.deepEqual(sequences(again), upTo(40))
      assert.equal(again.verifySync().intact, true)
      again.closeSync()
    }
  })

  test(`${form}: one at a time`, async (t) => {
    const store = openFilled(t)
    await unchanged(store, async () => {
      const progress = () => void store.compactSync()
      const error = await failure(store, form, { progress })
      assert.equal(error.kind, 'LOCKED')
      assert.equal(error.retry, 'LATER')
    })
  })

  test(`${form}: a signal ends it with its reason`, async (t) => {
    const store = openFilled(t)
    const reason = new Error('enough')
    const retention = { prefix: 'a' }
    await unchanged(store, async () => {
      const signal = AbortSignal.abort(reason)
      assert.equal(await failure(store, form, { retention, signal }), reason)
      for (const where of ['progress', 'keep']) {
        const controller = new AbortController()
        const abort = () => {
          controller.abort(reason)
          return false
        }
        const asked = where === 'keep' ? { retention: { keep: abort } } : { progress: abort }
        const options = { retention, ...asked, signal: controller.signal }
        assert.equal(await failure(store, form, options), reason)
      }
    })
    const { signal } = new AbortController()
    assert.equal((await store[form]({ retention, signal })).eventsDropped, 40n)
  })

  test(`${form}: progress tells how far it is`, async (t) => {
    const store = openFilled(t)
    const told = []
    const progress = (at) => void told.push(at)
    const report = await store[form]({ retention: { before: 30 }, progress })
    assert.deepEqual(told.map(({ segmentsDone }) => Number(segmentsDone)), upTo(told.length))
    assert.ok(told.every(({ segments }) => segments === BigInt(told.length - 1)))
    assert.equal(report.segmentsBefore, BigInt(told.length))
    assert.deepEqual(Object.keys(told[0]), ['segmentsDone', 'segments', 'bytesRead', 'bytesWritten'])
    assert.ok(told.at(-1).bytesRead > told[1].bytesRead)
  })

  test(`${form}: without a retention small segments are joined`, async (t) => {
    const filled = openFilled(t)
    filled.closeSync()
    const store = Store.openSync(filled.path)
    await unchanged(store, async () => {
      const before = store.statsSync()
      const report = await store[form]()
      const after = store.statsSync()
      assert.ok(before.segments > 2n)
      assert.deepEqual(report, {
        segmentsBefore: before.segments,
        segmentsAfter: 2n,
        segmentsReplaced: before.segments - 1n,
        segmentsWritten: 1n,
        bytesBefore: before.bytes,
        bytesAfter: after.bytes,
        eventsDropped: 0n,
        tombstones: 0n,
        keysKept: 0n,
        keysOver: 0n,
      })
    })
    store.closeSync()
  })

  test(`${form}: wrong options are refused`, async (t) => {
    const store = openFilled(t)
    const wrong = [
      { retention: {} },
      { retention: { unwanted: 'erase' } },
      { retention: { before: '3' } },
      { retention: { before: -1 } },
      { retention: { befor: 3 } },
      { retention: { from: 3 } },
      { retention: { entity: 'a', prefix: 'b' } },
      { retention: { olderThanUs: 2n ** 63n } },
      { retention: { olderThanUs: new Date(NaN) } },
      { retention: { keep: true } },
      { retention: { before: 3, unwanted: 'forget' } },
      { retention: { before: 3, keys: 5 } },
      { retention: { before: 3, keys: { window: -1n } } },
      { retention: { before: 3, keys: { overflow: 'drop' } } },
      { retention: 3 },
      { bytesPerSecond: -1 },
      { progress: 'often' },
      { signal: {} },
      { before: 3 },
      'all',
    ]
    await unchanged(store, async () => {
      for (const options of wrong) {
        const error = await failure(store, form, options)
        assert.deepEqual([error.name, error.kind], ['BatpakError', 'INVALID_ARGUMENT'], error)
      }
      const error = await failure(store, form, { retention: { kind: 1 << 16 } })
      assert.equal(error.kind, 'INVALID_KIND')
    })
  })
}

test('tombstones and erased payloads', async (t) => {
  const store = openFilled(t)
  const held = store.atSync(1n)
  await store.compact({ retention: { before: 1, unwanted: 'tombstone' } })
  const retention = { entity: 'a:1', before: 3, unwanted: 'erase' }
  const report = await store.compact({ retention })
  assert.deepEqual([report.tombstones, report.eventsDropped], [1n, 0n])
  const { intact, dropped, tombstones, erased } = store.verifySync()
  assert.deepEqual([intact, dropped, tombstones, erased], [true, 0n, 2n, 1n])
  assert.equal(store.statsSync().events, 40n)
  const events = [0n, 1n, 2n].map((sequence) => store.atSync(sequence))
  const { TOMBSTONE } = EventKind
  assert.deepEqual(events.map(({ kind }) => kind), [TOMBSTONE, TOMBSTONE, 0x1002])
  assert.deepEqual(events.map(({ erased }) => erased), [false, true, false])
  assert.deepEqual(events.map(({ payload }) => payload.length), [300, 0, 300])
  assert.equal(events[1].toObject().erased, true)
  assert.equal(events[1].toJSON().erased, true)
  assert.throws(() => events[1].value(), ofKind('DECODE'))
  // What was read before stays what it was, with the same hash.
  assert.deepEqual([held.erased, held.hash], [false, events[1].hash])
  assert.deepEqual(held.payload, Buffer.alloc(300, 1))
})

test('a batch that was erased is still a batch', (t) => {
  const store = openStore(t)
  store.appendBatchSync([EVENT, EVENT])
  store.compactSync({ retention: { before: 2, unwanted: 'erase' } })
  const events = [...store.readSync()]
  assert.deepEqual(events.map(({ batchContinues }) => batchContinues), [true, false])
  assert.deepEqual(events.map(({ erased }) => erased), [true, true])
})

test('the keys of dropped events', async (t) => {
  const store = openStore(t)
  const ids = ['1', '2', '3'].map((digit) => digit.padStart(32, '0'))
  const append = (id, payload) => store.appendSync({ ...EVENT, id, payload })
  const first = ids.map((id) => append(id, 'x'))
  const keys = { window: 2, most: 1n }
  await unchanged(store, async () => {
    const refused = { before: 3, keys: { ...keys, overflow: 'refuse' } }
    assert.equal((await failure(store, 'compact', { retention: refused })).kind, 'TOO_LARGE')
  })
  const report = await store.compact({ retention: { before: 3, keys } })
  assert.deepEqual([report.eventsDropped, report.keysKept, report.keysOver], [3n, 2n, 1n])
  const again = append(ids[2], 'x')
  assert.deepEqual([again.duplicate, again.sequence], [true, first[2].sequence])
  assert.throws(() => append(ids[1], 'other'), ofKind('IDEMPOTENCY_CONFLICT'))
  assert.equal(append(ids[0], 'other').duplicate, false)
})

test('the event loop goes on while one is under way, and others append and read', async (t) => {
  const store = openFilled(t)
  let ended = false
  const compacting = store
    .compact({ retention: { keep: ({ entity }) => entity !== 'a:0' } })
    .finally(() => (ended = true))
  let appended = 0
  while (!ended) {
    await store.append({ ...EVENT, entity: 'b' }, { durability: 'buffered' })
    appended += 1
    const found = []
    for await (const { sequence } of store.read({ prefix: 'a' })) found.push(Number(sequence))
    // Each event that goes may still be seen, or not.
    const isOdd = (number) => number % 2 === 1
    assert.deepEqual(found.filter(isOdd), upTo(40).filter(isOdd))
  }
  assert.equal((await compacting).eventsDropped, 20n)
  assert.equal(store.headSync().events, BigInt(40 + appended))
  assert.equal(sequences(store).length, 20 + appended)
  assert.equal(store.verifySync().intact, true)
})

test('a signal that comes from elsewhere ends one that only the pool works on', async (t) => {
  const store = openFilled(t)
  const controller = new AbortController()
  await unchanged(store, async () => {
    // It would take seconds.
    const { signal } = controller
    const options = { retention: { prefix: 'a' }, bytesPerSecond: 10_000, signal }
    const compacting = failure(store, 'compact', options)
    setTimeout(() => controller.abort(), 20)
    assert.equal((await compacting).name, 'AbortError')
  })
})

test('closing while one is under way ends it', async (t) => {
  const store = openFilled(t)
  let compacting
  await new Promise((resolve) => {
    const options = { retention: { prefix: 'a' }, bytesPerSecond: 20_000, progress: resolve }
    compacting = failure(store, 'compact', options)
  })
  await store.close()
  assert.equal((await compacting).kind, 'CLOSED')
  const again = Store.openSync(store.path, { mode: 'existing' })
  assert.deepEqual(sequences(again), upTo(40))
  again.closeSync()
})

test('many functions may be asked at once, on every thread of the pool', async (t) => {
  const stores = upTo(8).map(() => openFilled(t))
  const keep = ({ sequence }) => sequence % 4n === 0n
  const reports = await Promise.all(stores.map((store) => store.compact({ retention: { keep } })))
  for (const { eventsDropped } of reports) assert.equal(eventsDropped, 30n)
})

const EXITS = {
  'in a predicate': "store.compact({ retention: { keep: () => process.exit() } })",
  'in progress': "store.compact({ retention: { before: 30 }, progress: () => process.exit() })",
  'while it works on the pool': `
    store.compact({ retention: { before: 30 }, bytesPerSecond: 10_000 })
    process.exit()`,
  'by an error': `
    store.compact({ retention: { keep: () => false } })
    process.once('uncaughtException', () => process.exit())
    throw new Error('mine')`,
}
for (const [when, lines] of Object.entries(EXITS)) {
  test(`a process that exits ${when} leaves its store as it was`, (t) => {
    const filled = openFilled(t)
    filled.closeSync()
    assert.equal(runProcess(filled.path, lines), '')
    const store = Store.openSync(filled.path)
    assert.deepEqual(sequences(store), upTo(40))
    assert.equal(store.verifySync().intact, true)
    store.closeSync()
  })
}

test('the process stays while a compaction is under way', (t) => {
  const filled = openFilled(t)
  filled.closeSync()
  const lines = `
    const report = store.compact({ retention: { keep: () => false } })
    report.then(({ eventsDropped }) => console.log(eventsDropped))`
  assert.equal(runProcess(filled.path, lines), '40n\n')
})

test('a predicate may be asked about many events without keeping their memory', async (t) => {
  const store = openStore(t)
  const events = Array(1000).fill({ ...EVENT, payload: Buffer.alloc(50_000) })
  for (let batch = 0; batch < 2; batch += 1) {
    store.appendBatchSync(events, { durability: 'buffered' })
  }
  // The events together have 100 MB.
  let most = 0
  const keep = () => {
    most = Math.max(most, process.memoryUsage().arrayBuffers)
    return true
  }
  const before = process.memoryUsage().arrayBuffers
  assert.equal(store.compactSync({ retention: { keep } }).eventsDropped, 0n)
  assert.ok(most - before < 80_000_000, `${most - before} bytes were kept`)
})

test('a reader does not compact', async (t) => {
  const store = openFilled(t)
  const reader = Store.openSync(store.path, { mode: 'readOnly' })
  await assert.rejects(reader.compact(), ofKind('READ_ONLY'))
  assert.throws(() => reader.compactSync(), ofKind('READ_ONLY'))
  await store.compact({ retention: { before: 30 } })
  reader.refreshSync()
  assert.deepEqual(sequences(reader), upTo(40).slice(30))
  reader.closeSync()
})
