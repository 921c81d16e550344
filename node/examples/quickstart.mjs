// Appends two events, reads them back, and verifies the log. Takes the directory to use.
import { EventKind, Store } from 'batpak'

const PLACED = EventKind.of(1, 1)
const PAID = EventKind.of(1, 2)
const about = { entity: 'order:42', scope: 'shop' }
const store = await Store.open(process.argv[2] ?? 'orders')

// Durable when the promise resolves.
const order = await store.append({ ...about, kind: PLACED, payload: Buffer.from('2 apples') })

// Only if nobody has written to the stream meanwhile.
await store.append({
  ...about,
  kind: PAID,
  payload: Buffer.from('3.20'),
  expected: order.clock,
  causation: order.id,
})

for await (const event of store.read({ entity: 'order:42' })) {
  console.log(`${event.sequence} 0x${event.kind.toString(16)} ${event.payload}`)
}

const report = await store.verify()
console.log(`${report.events} events, ${report.intact ? 'intact' : 'damaged'}`)
await store.close()
