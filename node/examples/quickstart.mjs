// Appends two events to a store, reads them back and verifies the log. Run it twice: it goes on.
import { EventKind, Store } from 'batpak'

const PLACED = EventKind.of(1, 1)
const SHIPPED = EventKind.of(1, 2)

const store = await Store.open(process.argv[2] ?? 'orders.batpak')

const placed = await store.append({
  entity: 'order:42',
  scope: 'shop',
  kind: PLACED,
  payload: { item: 'apples', count: 2 },
})
await store.append({
  entity: 'order:42',
  scope: 'shop',
  kind: SHIPPED,
  causation: placed.id,
  expected: placed.clock,
})

for await (const event of store.read({ entity: 'order:42' })) {
  const what = event.kind === PLACED ? event.value() : 'shipped'
  console.log(event.sequence, event.entity, what)
}
console.log('intact:', (await store.verify()).intact)
await store.close()
