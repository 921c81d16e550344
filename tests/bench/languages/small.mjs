// The small set of workloads from Node:
//
//     small.mjs DIR SUBJECT...
//
// the same work as src/small.rs does, in stores below DIR, which exists. A subject is `Node` or
// `batpak`, which are the same, `better-sqlite3`, `lmdb` or `classic-level`. The environment
// selects as src/selection.rs says. Everything is found from the folder that this file was copied
// to, which run.sh makes.
import { randomFillSync } from 'node:crypto'
import path from 'node:path'

const KINDS = 4
const ENTITIES = Array.from({ length: 1000 }, (_, at) => {
  return `entity:${String(Math.floor(at / 10)).padStart(2, '0')}:${at % 10}`
})
const PAYLOAD = Buffer.from(Array.from({ length: 256 }, (_, at) => at))
// Events in the order in which they are appended, again and again.
const CYCLE = Array.from({ length: KINDS * 1000 }, (_, at) => {
  return { entity: ENTITIES[at % 1000], kind: ((at % 1000) + Math.floor(at / 1000)) % KINDS }
})
// Safety, events in an append, events.
const APPENDS = [
  ['durable', 1, 300],
  ['durable', 1000, 30_000],
  ['written', 1, 30_000],
  ['written', 1000, 100_000],
  ['buffered', 1, 60_000],
  ['buffered', 1000, 100_000],
]
const READ_EVENTS = 100_000
const READS = 20_000
const STREAMS = 50

/** The package itself, by the methods that block: the work is the same in all languages. */
class Batpak {
  static async open(at, safety) {
    const { Store } = await import('batpak')
    const log = new Batpak()
    log.store = Store.openSync(at, { durability: safety })
    return log
  }

  newEvent({ entity, kind }) {
    return { entity, scope: 'bench', kind: 0x1000 + kind, payload: PAYLOAD }
  }

  prepare(events) {
    return events.map(this.newEvent)
  }

  append(event) {
    this.store.appendSync(this.newEvent(event))
  }

  appendBatch(prepared) {
    this.store.appendBatchSync(prepared)
  }

  flush() {
    this.store.flushSync()
  }

  ids() {
    return [...this.store.readSync()].map((event) => event.id)
  }

  get(id) {
    return this.store.getSync(id).payload
  }

  scan(visit) {
    this.read({}, visit)
  }

  stream(entity, visit) {
    this.read({ entity }, visit)
  }

  read(query, visit) {
    for (const page of this.store.pagesSync(query)) {
      for (const event of page) visit(event.payload)
    }
  }

  close() {
    this.store.closeSync()
  }
}

/** What the other stores need that give no sequences, clocks and ids. */
class Ledger {
  sequence = 0
  clocks = new Map()
  random = Buffer.alloc(1 << 16)
  used = this.random.length

  place(entity) {
    const clock = this.clocks.get(entity) ?? 0
    this.clocks.set(entity, clock + 1)
    if (this.used === this.random.length) {
      randomFillSync(this.random)
      this.used = 0
    }
    const id = Buffer.from(this.random.subarray(this.used, (this.used += 16)))
    return { sequence: this.sequence++, id, clock }
  }
}

/** What has nothing to prepare and nothing to flush. */
class Other {
  ledger = new Ledger()

  prepare(events) {
    return events
  }

  flush() {}
}

/** With the table of src/peers/sqlite.rs but for hashes. */
class BetterSqlite3 extends Other {
  static async open(at, safety) {
    const { default: Database } = await import('better-sqlite3')
    const log = new BetterSqlite3()
    log.database = new Database(at)
    log.database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = ${safety === 'durable' ? 'FULL' : 'NORMAL'};
      PRAGMA cache_size = -65536;
      PRAGMA mmap_size = 4294967296;
      CREATE TABLE IF NOT EXISTS events (
        sequence INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        entity TEXT NOT NULL,
        clock INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        payload BLOB NOT NULL,
        UNIQUE (entity, clock)
      ) STRICT`)
    const prepare = (sql) => log.database.prepare(sql).pluck()
    log.insert = log.database.prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)')
    log.allIds = prepare('SELECT id FROM events ORDER BY sequence')
    log.byId = prepare('SELECT payload FROM events WHERE id = ?')
    log.all = prepare('SELECT payload FROM events ORDER BY sequence')
    log.byEntity = prepare('SELECT payload FROM events WHERE entity = ? ORDER BY clock')
    log.insertAll = log.database.transaction((events) => events.forEach((e) => log.append(e)))
    return log
  }

  append({ entity, kind }) {
    const { sequence, id, clock } = this.ledger.place(entity)
    this.insert.run(sequence, id, entity, clock, kind, PAYLOAD)
  }

  appendBatch(events) {
    this.insertAll(events)
  }

  ids() {
    return this.allIds.all()
  }

  get(id) {
    return this.byId.get(id)
  }

  scan(visit) {
    for (const payload of this.all.iterate()) visit(payload)
  }

  stream(entity, visit) {
    for (const payload of this.byEntity.iterate(entity)) visit(payload)
  }

  close() {
    this.database.close()
  }
}

/** The key of an event in its stream, in the order of the clocks. */
const streamKey = (entity, clock) => `${entity}/${String(clock).padStart(10, '0')}`
/** The key of an event, in the order of the sequences. */
const sequenceKey = (sequence) => String(sequence).padStart(12, '0')
const record = (id) => Buffer.concat([id, PAYLOAD])
const payloadIn = (stored) => stored.subarray(16)

/** lmdb-js: three tables, and a transaction for each append. */
class Lmdb extends Other {
  static async open(at, safety) {
    const { open } = await import('lmdb')
    const log = new Lmdb()
    const durable = safety === 'durable'
    // A durable transaction is over when it is synced, not when a sync has begun.
    log.root = open({ path: at, maxDbs: 3, noSync: !durable, overlappingSync: false })
    log.events = log.root.openDB('events', { encoding: 'binary' })
    log.byId = log.root.openDB('ids', { encoding: 'ordered-binary', keyEncoding: 'binary' })
    log.byStream = log.root.openDB('streams', { encoding: 'ordered-binary' })
    return log
  }

  append(event) {
    this.appendBatch([event])
  }

  appendBatch(events) {
    this.root.transactionSync(() => {
      for (const { entity } of events) {
        const { sequence, id, clock } = this.ledger.place(entity)
        const key = sequenceKey(sequence)
        this.events.putSync(key, record(id))
        this.byId.putSync(id, key)
        this.byStream.putSync(streamKey(entity, clock), key)
      }
    })
  }

  ids() {
    return [...this.events.getRange()].map(({ value }) => Buffer.from(value.subarray(0, 16)))
  }

  get(id) {
    return payloadIn(this.events.get(this.byId.get(id)))
  }

  scan(visit) {
    for (const { value } of this.events.getRange()) visit(payloadIn(value))
  }

  stream(entity, visit) {
    const range = { start: streamKey(entity, 0), end: `${entity}/~` }
    for (const { value } of this.byStream.getRange(range)) visit(payloadIn(this.events.get(value)))
  }

  async close() {
    await this.root.flushed
    await this.root.close()
  }
}

/** LevelDB: three ranges of keys in one batch. It works on the pool of libuv, so all is awaited. */
class ClassicLevel extends Other {
  static async open(at, safety) {
    const { ClassicLevel: Level } = await import('classic-level')
    const log = new ClassicLevel()
    log.level = new Level(at, { keyEncoding: 'utf8', valueEncoding: 'buffer' })
    log.sync = safety === 'durable'
    await log.level.open()
    return log
  }

  append(event) {
    return this.appendBatch([event])
  }

  appendBatch(events) {
    const operations = []
    for (const { entity } of events) {
      const { sequence, id, clock } = this.ledger.place(entity)
      const key = sequenceKey(sequence)
      const value = Buffer.from(key)
      operations.push({ type: 'put', key: `e${key}`, value: record(id) })
      operations.push({ type: 'put', key: `i${id.toString('hex')}`, value })
      operations.push({ type: 'put', key: `s${streamKey(entity, clock)}`, value })
    }
    return this.level.batch(operations, { sync: this.sync })
  }

  async ids() {
    const ids = []
    for await (const value of this.level.values({ gte: 'e', lt: 'f' })) {
      ids.push(value.toString('hex', 0, 16))
    }
    return ids
  }

  async get(id) {
    const key = await this.level.get(`i${id}`)
    return payloadIn(await this.level.get(`e${key}`))
  }

  async scan(visit) {
    for await (const value of this.level.values({ gte: 'e', lt: 'f' })) visit(payloadIn(value))
  }

  async stream(entity, visit) {
    const range = { gte: `s${streamKey(entity, 0)}`, lt: `s${entity}/~` }
    const keys = await this.level.values(range).all()
    for (const value of await this.level.getMany(keys.map((key) => `e${key}`))) {
      visit(payloadIn(value))
    }
  }

  close() {
    return this.level.close()
  }
}

const SUBJECTS = {
  Node: Batpak,
  batpak: Batpak,
  'better-sqlite3': BetterSqlite3,
  lmdb: Lmdb,
  'classic-level': ClassicLevel,
}

const listed = (variable) => (process.env[variable] ?? '').split('|').filter((part) => part)
const measures = listed('BENCH_MEASURES')
const subjectsWanted = listed('BENCH_SUBJECTS')

function selected(subject, measure) {
  return (
    (measures.length === 0 || measures.some((part) => measure.includes(part))) &&
    (subjectsWanted.length === 0 || subjectsWanted.includes(subject))
  )
}

function show(subject, measure, events, seconds) {
  console.log([subject, measure, 'events per second', events / seconds].join('\t'))
  // Where the disk has no part in it, what counts is what a call or an event takes.
  if (!/^(durable|written)/.test(measure)) {
    console.log([subject, `${measure}, each`, 'ns', (1e9 * seconds) / events].join('\t'))
  }
}

/** The seconds that it takes. Only what is a promise is awaited. */
async function timed(work) {
  const started = process.hrtime.bigint()
  const under = work()
  if (under instanceof Promise) await under
  return Number(process.hrtime.bigint() - started) / 1e9
}

/** Calls a function with each of these; a function for the whole loop if it gives promises. */
function each(items, call) {
  for (let at = 0; at < items.length; at++) {
    const under = call(items[at])
    if (under instanceof Promise) {
      return (async () => {
        await under
        for (let next = at + 1; next < items.length; next++) await call(items[next])
      })()
    }
  }
}

const nameOf = (safety, batch) =>
  batch === 1 ? `${safety} append, 1 thread` : `${safety} batches of 1,000`

/** Appends so many events, so many at once; gives the seconds it took. */
async function append(log, batch, count) {
  let seconds
  if (batch === 1) {
    const events = Array.from({ length: count }, (_, at) => CYCLE[at % CYCLE.length])
    seconds = await timed(() => each(events, (event) => log.append(event)))
  } else {
    const batches = []
    for (let at = 0; at < CYCLE.length; at += batch) {
      batches.push(log.prepare(CYCLE.slice(at, at + batch)))
    }
    const calls = Array.from({ length: count / batch }, (_, at) => batches[at % batches.length])
    seconds = await timed(() => each(calls, (events) => log.appendBatch(events)))
  }
  return seconds + (await timed(() => log.flush()))
}

async function check(log, events) {
  let [seen, whole] = [0, 0]
  await log.scan((payload) => {
    seen += 1
    whole += PAYLOAD.equals(payload) ? 1 : 0
  })
  if (seen !== events || whole !== events) {
    throw new Error(`${seen} events, ${whole} of them whole, of ${events}`)
  }
}

/** Numbers below `bound` in an order that no cache foresees; always the same. */
function scattered(count, bound) {
  let state = 1
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * bound)
  })
}

/** Looks at each payload; gives the seconds it took. */
async function read(work, expected) {
  let [seen, total] = [0, 0]
  const visit = (payload) => {
    seen += 1
    total += payload[255]
  }
  const seconds = await timed(() => work(visit))
  if (seen !== expected || total !== 255 * expected) {
    throw new Error(`${seen} events were read where ${expected} are`)
  }
  return seconds
}

async function measureReads(subject, directory) {
  const perEntity = READ_EVENTS / ENTITIES.length
  const byStream = `one entity's ${perEntity} events`
  const wanted = ['read by id', 'scan', byStream].filter((measure) => selected(subject, measure))
  if (wanted.length === 0) return
  const at = path.join(directory, `${subject}, reads`)
  let log = await SUBJECTS[subject].open(at, 'written')
  await append(log, 1000, READ_EVENTS)
  await log.close()
  log = await SUBJECTS[subject].open(at, 'written')
  await check(log, READ_EVENTS)
  const allIds = await log.ids()
  const ids = scattered(READS, READ_EVENTS).map((place) => allIds[place])
  const names = scattered(STREAMS, ENTITIES.length).map((place) => ENTITIES[place])
  const work = {
    'read by id': [
      READS,
      (visit) =>
        each(ids, (id) => {
          const payload = log.get(id)
          return payload instanceof Promise ? payload.then(visit) : visit(payload)
        }),
    ],
    scan: [READ_EVENTS, (visit) => log.scan(visit)],
    [byStream]: [STREAMS * perEntity, (visit) => each(names, (name) => log.stream(name, visit))],
  }
  for (const measure of wanted) {
    const [count, reads] = work[measure]
    show(subject, measure, count, await read(reads, count))
  }
  await log.close()
}

const [directory, ...subjects] = process.argv.slice(2)
for (const [safety, batch, count] of APPENDS) {
  const measure = nameOf(safety, batch)
  for (const subject of subjects.filter((subject) => selected(subject, measure))) {
    const log = await SUBJECTS[subject].open(path.join(directory, `${subject}, ${measure}`), safety)
    await append(log, 1000, 1000)
    show(subject, measure, count, await append(log, batch, count))
    await check(log, 1000 + count)
    await log.close()
  }
}
for (const subject of subjects) await measureReads(subject, directory)
