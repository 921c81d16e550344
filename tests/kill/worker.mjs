// The worker of the kill test in Node. README.md says what it does and what it writes. In odd
// lives it uses the calls that return a Promise, in even ones those that block.
import { openSync, writeSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { Store } from '../../node/lib/index.mjs'

const [directory, logPath, ...numbers] = process.argv.slice(2)
const [seed, life, segmentBytes, bufferMs, retryLife, retry] = numbers.map(Number)
const log = openSync(logPath, 'a', 0o600)
const ending = life % 2 === 0 ? 'Sync' : ''

function mix(x) {
  x ^= x >>> 16
  x = Math.imul(x, 0x85ebca6b)
  x ^= x >>> 13
  x = Math.imul(x, 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

/** Numbers that are the same in every language: a function that draws one below its argument. */
function drawsOf(...numbers) {
  let state = numbers.reduce((state, number) => mix((state + number) >>> 0), 0)
  return (bound) => {
    state = (state + 0x9e3779b9) >>> 0
    return mix(state) % bound
  }
}

function plan(life, operation) {
  const below = drawsOf(seed, life, operation)
  const roll = below(100)
  if (roll < 4) return { step: 'reopen' }
  if (roll < 8) return { step: 'sync' }
  if (roll < 14) return { step: 'flush' }
  if (roll < 20) return again(life, below(operation))
  return planAppend(below, life, operation)
}

function again(life, earlier) {
  const below = drawsOf(seed, life, earlier)
  if (earlier === 0 || below(100) < 20) return { step: 'nothing' }
  const append = planAppend(below, life, earlier)
  return append.withIds ? append : { step: 'nothing' }
}

function planAppend(below, life, operation) {
  const count = below(5) < 2 ? 2 + below(39) : 1
  const durability = ['durable', 'written', 'buffered', 'buffered'][below(4)]
  const withIds = below(2) === 1
  const large = below(12) === 0
  const events = []
  for (let item = 0; item < count; item++) {
    const entity = `order:${below(6)}`
    const lane = below(3) === 0 ? 1 : 0
    const kind = 0x1001 + below(3)
    const filler = below(large ? 60_000 : below(8) === 0 ? 3000 : 200)
    const payload = Buffer.from(`${life} ${operation} ${item} ${count} ${'x'.repeat(filler)}`)
    const id = withIds ? [seed, life, operation, item].map(eightDigits).join('') : undefined
    events.push({ entity, scope: 'kill', kind, lane, id, payload })
  }
  return { step: 'append', durability, withIds, events }
}

function eightDigits(number) {
  return number.toString(16).padStart(8, '0')
}

/** Adds a line to the log. One call of the operating system: a kill leaves it whole or last. */
function note(line) {
  writeSync(log, `${line}\n`)
}

async function open(operation) {
  const store = await Store[`open${ending}`](directory, { segmentBytes, bufferMs })
  note(`${operation} open ${store.report.events}`)
  return store
}

async function append(store, operation, { events, durability }) {
  const receipts =
    events.length === 1
      ? [await store[`append${ending}`](events[0], { durability })]
      : await store[`appendBatch${ending}`](events, { durability })
  const words = receipts.map((r) => `${r.sequence} ${r.id} ${r.hash} ${r.duplicate ? 1 : 0}`)
  note(`${operation} ack ${words.join(' ')}`)
  writeSync(1, 'a')
}

writeSync(1, 'o')
let store = await open(0)
if (retry > 0) await append(store, 0, plan(retryLife, retry))
for (let operation = 1; ; operation++) {
  const planned = plan(life, operation)
  switch (planned.step) {
    case 'append':
      await append(store, operation, planned)
      break
    case 'flush':
      await store[`flush${ending}`]()
      note(`${operation} flushed`)
      await setTimeout(1)
      break
    case 'sync':
      await store[`sync${ending}`]()
      note(`${operation} synced`)
      break
    case 'reopen':
      await store[`close${ending}`]()
      note(`${operation} closed`)
      store = await open(operation)
      break
    default:
      note(`${operation} nothing`)
  }
}
