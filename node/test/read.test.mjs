import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { Event } from 'batpak'
import { EVENT, collect, fill, ofKind, openStore } from './scratch.mjs'

const sequences = (events) => events.map(({ sequence }) => Number(sequence))

function populated(t) {
  const store = openStore(t)
  for (let number = 0; number < 12; number += 1) {
    const entity = ['user:1', 'user:1:cart', 'user:10'][number % 3]
    const kind = number % 2 ? 0x1001 : 0x2001
    const scope = number < 6 ? 'old' : 'new'
    store.appendSync({ entity, scope, kind, payload: number, lane: number % 2 })
  }
  return store
}

test('get and at find one event or nothing', async (t) => {
  const store = populated(t)
  const event = store.atSync(4n)
  assert.ok(event instanceof Event)
  assert.equal(event.entity, 'user:1:cart')
  assert.equal((await store.at(4)).id, event.id)
  assert.equal((await store.get(event.id)).sequence, 4n)
  assert.equal(store.getSync(Buffer.from(event.id, 'hex')).sequence, 4n)
  assert.equal(store.atSync(12n), undefined)
  assert.equal(await store.at(2n ** 64n - 1n), undefined)
  assert.equal(await store.get('f'.repeat(32)), undefined)
})

test('a query restricts what is read', async (t) => {
  const store = populated(t)
  const cases = [
    [undefined, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]],
    [{ entity: 'user:1' }, [0, 3, 6, 9]],
    [{ prefix: 'user:1' }, [0, 1, 3, 4, 6, 7, 9, 10]],
    [{ scope: 'new', kind: 0x2001 }, [6, 8, 10]],
    [{ category: 1, limit: 2 }, [1, 3]],
    [{ lane: 1, from: 5n, limit: 2n }, [5, 7]],
    [{ entity: 'user:1', lane: 1, clocks: [1, 1] }, [9]],
    [{ direction: 'backward', from: 3, limit: 3 }, [3, 2, 1]],
    [{ entity: 'nobody' }, []],
  ]
  for (const [query, expected] of cases) {
    assert.deepEqual(sequences([...store.readSync(query)]), expected, inspect(query))
    assert.deepEqual(sequences(await collect(store.read(query))), expected, inspect(query))
  }
})

test('pages hold as many events as asked for', async (t) => {
  const store = openStore(t)
  fill(store, 2500)
  const lengths = (pages) => pages.map((page) => page.length)
  assert.deepEqual(lengths([...store.pagesSync()]), [1024, 1024, 452])
  assert.deepEqual(lengths(await collect(store.pages({ limit: 5 }, { events: 2 }))), [2, 2, 1])
  const small = await collect(store.pages({ limit: 3 }, { bytes: 1 }))
  assert.deepEqual(lengths(small), [1, 1, 1])
  const all = await collect(store.read())
  assert.deepEqual(sequences(all), [...Array(2500).keys()])
  assert.deepEqual(all.map((event) => event.value()), [...Array(2500).keys()])
})

test('a read sees what was visible when it began', (t) => {
  const store = openStore(t)
  fill(store, 3)
  const seen = []
  for (const { sequence } of store.readSync()) {
    seen.push(sequence)
    fill(store, 1)
  }
  assert.deepEqual(seen, [0n, 1n, 2n])
})

test('a read can end early and leaves the store usable', async (t) => {
  const store = openStore(t)
  fill(store, 100)
  for await (const event of store.read()) if (event.sequence === 5n) break
  for (const event of store.readSync()) if (event.sequence === 5n) break
  const reading = store.pages({}, { events: 10 })
  await reading.next()
  assert.deepEqual(await reading.return(), { value: undefined, done: true })
  assert.equal(fill(store, 1)[0].sequence, 100n)
})

test('a payload outlives its page, the store and a collection of garbage', async (t) => {
  const { setFlagsFromString } = await import('node:v8')
  const { runInNewContext } = await import('node:vm')
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc')
  const store = openStore(t)
  fill(store, 2000)
  const payloads = (await collect(store.read())).map((event) => event.payload)
  const kept = store.atSync(7n)
  await store.close()
  collectGarbage()
  // New memory, so that a payload over freed memory would show other bytes.
  const filler = Array.from({ length: 100 }, () => Buffer.alloc(100_000, 0xee))
  collectGarbage()
  assert.equal(filler.length, 100)
  const total = payloads.reduce((sum, payload) => sum + payload.at(-1), 0)
  const expected = [...Array(2000).keys()].reduce((sum, number) => sum + (number & 0xff), 0)
  assert.equal(total, expected)
  assert.equal(kept.value(), 7)
  assert.equal(kept.entity, 'counter:1')
})

test('writing to a payload changes nothing in the store', (t) => {
  const store = openStore(t)
  const { id } = store.appendSync({ ...EVENT, payload: Buffer.from('kept') })
  const event = store.getSync(id)
  event.payload.fill(0)
  assert.equal(store.getSync(id).payload.toString(), 'kept')
  assert.equal(store.verifySync().intact, true)
})

test('an event can be shown and written as JSON', (t) => {
  const store = openStore(t)
  const given = { ...EVENT, payload: Buffer.from('hi'), timestampUs: 3 }
  store.appendSync({ ...given, extensions: { 'k.v': Buffer.from('x') } })
  const event = store.atSync(0n)
  const json = JSON.parse(JSON.stringify(event))
  assert.equal(json.sequence, '0')
  assert.equal(json.timestampUs, '3')
  assert.equal(json.payload, 'aGk=')
  assert.deepEqual(json.extensions, { 'k.v': 'eA==' })
  assert.equal(json.hash, event.hash)
  assert.match(inspect(event), /^Event \{\n {2}sequence: 0n,/)
})

test('ancestors go back along the stream or along causes', async (t) => {
  const store = openStore(t)
  const root = store.appendSync({ ...EVENT, entity: 'a' })
  const middle = store.appendSync({ ...EVENT, entity: 'b', causation: root.id })
  const leaf = store.appendSync({ ...EVENT, entity: 'a', causation: middle.id })
  const stream = await store.ancestors(leaf.id)
  assert.deepEqual([sequences(stream.events), stream.boundary], [[2, 0], 'genesis'])
  const causes = store.ancestorsSync(leaf.id, { via: 'causation' })
  assert.deepEqual([sequences(causes.events), causes.boundary], [[2, 1, 0], 'genesis'])
  const first = store.ancestorsSync(leaf.id, { via: 'causation', limit: 1 })
  assert.deepEqual([sequences(first.events), first.boundary], [[2], 'limit'])
  await assert.rejects(store.ancestors('f'.repeat(32)), ofKind('NOT_FOUND'))
})

test('heads, numbers and reports', async (t) => {
  const store = openStore(t)
  assert.equal(store.report.created, true)
  assert.equal(store.report.cutAt, undefined)
  assert.deepEqual(store.report.removed, [])
  const [, last] = fill(store, 2)
  const { events, lastHash, root } = await store.head()
  assert.deepEqual([events, lastHash], [2n, last.hash])
  assert.deepEqual(store.headSync(), { events, lastHash, root })
  const head = { clock: 1, sequence: 1n, hash: last.hash }
  assert.deepEqual(await store.streamHead('counter:1'), head)
  assert.deepEqual(store.streamHeadSync('counter:1', 0), head)
  assert.equal(store.streamHeadSync('counter:1', 1), undefined)
  const stats = await store.stats()
  assert.deepEqual([stats.events, stats.segments, stats.entities, stats.streams], [2n, 1n, 1n, 1n])
  assert.match(stats.storeId, /^[0-9a-f]{32}$/)
  assert.deepEqual(store.statsSync(), stats)
  const report = await store.verify()
  const gone = { dropped: 0n, tombstones: 0n, erased: 0n }
  const counts = { events: 2n, ...gone, segments: 1n }
  assert.deepEqual(report, { intact: true, ...counts, lastHash, root, findings: [] })
  assert.deepEqual(store.verifySync(), report)
  assert.equal(await store.refresh(), 2n)
  assert.equal(store.refreshSync(), 2n)
})

test('events that are read one by one stay as they are', (t) => {
  const store = openStore(t)
  // Small and large ones, so that blocks are shared, renewed and made for one alone.
  const sizes = Array.from({ length: 300 }, (_, index) => (index * 977) % 20_000)
  for (const [index, size] of sizes.entries()) {
    store.appendSync({ ...EVENT, payload: Buffer.alloc(size, index) }, { durability: 'buffered' })
  }
  const events = sizes.map((_, index) => store.atSync(index))
  const again = events.map(({ id }) => store.getSync(id))
  assert.equal(store.atSync(300), undefined)
  assert.equal(store.getSync('f'.repeat(32)), undefined)
  for (const [index, size] of sizes.entries()) {
    for (const event of [events[index], again[index]]) {
      assert.equal(event.sequence, BigInt(index))
      assert.equal(event.entity, EVENT.entity)
      assert.ok(event.payload.equals(Buffer.alloc(size, index)))
    }
  }
})
