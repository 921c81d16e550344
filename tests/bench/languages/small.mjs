// Appends per second from Node:
//
//     appends.mjs DIR DURABLE WRITTEN BUFFERED BATCHES
//
// the same work as src/main.rs does, in stores below DIR, which exists.
import path from 'node:path'
import { EventKind, Store } from 'batpak'

const [directory, ...counts] = process.argv.slice(2)
const [durable, written, buffered, batched] = counts.map(Number)
const ENTITIES = Array.from({ length: 1000 }, (_, at) => `entity:${String(at).padStart(3, '0')}`)
const PAYLOAD = Buffer.from(Array.from({ length: 256 }, (_, at) => at))

const newEvent = (entity) => ({ entity, scope: 'bench', kind: EventKind.DATA, payload: PAYLOAD })
const batch = () => ENTITIES.map(newEvent)

function single(store, count) {
  for (let at = 0; at < count; at++) store.appendSync(newEvent(ENTITIES[at % ENTITIES.length]))
  return count
}

function batches(store, count) {
  for (let at = 0; at < count; at++) store.appendBatchSync(batch())
  return count * ENTITIES.length
}

for (const [name, durability, append, count] of [
  ['durable append', 'durable', single, durable],
  ['written append', 'written', single, written],
  ['buffered append', 'buffered', single, buffered],
  ['durable batches of 1,000', 'durable', batches, batched],
]) {
  const store = Store.openSync(path.join(directory, name), { durability })
  store.appendBatchSync(batch(), { durability: 'durable' })
  const started = process.hrtime.bigint()
  const events = append(store, count)
  store.flushSync()
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  console.log(['Node', name, 'per second', events / seconds].join('\t'))
  store.closeSync()
}
