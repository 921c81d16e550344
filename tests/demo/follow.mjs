// Follows a store that another process is writing, until TOTAL events were seen, and verifies it.
//
//   node follow.mjs STORE TOTAL
import { setTimeout as sleep } from 'node:timers/promises'
import { EventKind, Store } from 'batpak'

const NAMES = {
  [EventKind.of(1, 1)]: 'departed',
  [EventKind.of(1, 2)]: 'arrived',
  [EventKind.of(1, 3)]: 'cancelled',
}
const REPORT = 100_000n
const PATIENCE_MS = 60_000

const [path, announced] = process.argv.slice(2)
const total = BigInt(announced)

/** Opens the store as soon as its writer has made it. */
async function openWhenThere() {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    try {
      return await Store.open(path, { mode: 'readOnly' })
    } catch (error) {
      if (error.kind !== 'NOT_FOUND' || performance.now() > deadline) throw error
      await sleep(10)
    }
  }
}

const store = await openWhenThere()
const counts = {}
let next = 0n
let waits = 0
let pages = 0
while (next < total) {
  const visible = await store.wait(next + 1n, PATIENCE_MS)
  if (visible <= next) throw new Error(`no event came after ${next} for ${PATIENCE_MS} ms`)
  waits += 1
  for await (const page of store.pages({ from: next })) {
    pages += 1
    for (const { sequence, kind } of page) {
      if (sequence !== next) throw new Error(`event ${sequence} came, not ${next}`)
      counts[NAMES[kind]] = (counts[NAMES[kind]] ?? 0) + 1
      next += 1n
      if (next % REPORT === 0n) console.log(`Node    followed ${String(next).padStart(7)} events`)
    }
  }
}
console.log(`Node    followed ${next} events, each once and in order, in ${waits} waits and ${pages} pages`)
console.log('Node   ', Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(', '))

const report = await store.verify()
if (!report.intact) throw new Error('the store is damaged')
console.log('verified Node', String(report.events), report.lastHash, report.root)
await store.close()
