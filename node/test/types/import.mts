// Compiled, never run: what the declarations must accept and, under @ts-expect-error, refuse.
import {
  BatpakError, Event, EventKind, Store, decodePayload, encodePayload, errorKinds, inspect,
  inspectSync, operationId, repair, repairSync,
} from 'batpak'
import type {
  Ancestry, AppendOptions, CommitOptions, Committed, CompactOptions, CompactReport, CopyReport,
  Diff, Dropped, ExportOptions,
  ExportReport, Fence, FenceOptions, ForkOptions, Frontier, Gate, Head, ImportOptions, ImportReport,
  Inspection, LeftOut, LostEvents, NewEvent, OpenReport, Parent,
  Query, Receipt, RepairOptions, RepairReport, Retention, SnapshotCheck, SnapshotOptions, Stats, StreamHead,
  VerifyReport,
} from 'batpak'

const event: NewEvent = {
  entity: 'order:1',
  scope: 'shop',
  kind: EventKind.of(1, 2),
  payload: { any: ['value', 1n, null], at: new Date() },
  expected: 'noStream',
  id: operationId('billing', 'invoice', Buffer.from('7')),
  correlation: new Uint8Array(16),
  causation: { item: 0 },
  lane: 1,
  depth: 1,
  flags: 255,
  payloadVersion: 2,
  timestampUs: 1n,
  extensions: { 'audit.user': Buffer.from('u') },
}
const others: NewEvent[] = [
  { ...event, expected: 3, causation: undefined, timestampUs: new Date(), extensions: new Map() },
  { ...event, expected: 'any', causation: 'f'.repeat(32), timestampUs: 5, id: undefined },
]

const gate: Gate = {
  name: 'small',
  check: ({ payload, entity, timestampUs }) => {
    const at: bigint | undefined = timestampUs
    if (payload.length > 10 || at === 0n) return { code: 'TOO_BIG', message: entity }
    return undefined
  },
}
const options: AppendOptions = {
  durability: 'written',
  gates: [gate],
  gateMode: 'all',
  recordDenial: true,
}

export async function everyMethod(): Promise<void> {
  await using store: Store = await Store.open(new URL('file:///data'), { mode: 'create', seed: 1 })
  using reader: Store = Store.openSync('data', { mode: 'readOnly', segmentBytes: 1n << 20n })
  using careful: Store = Store.openSync('other', { restarts: 0, restartWindowMs: undefined })

  const receipt: Receipt = await store.append(event, options)
  const receipts: Receipt[] = [store.appendSync(event), ...(await store.appendBatch(others))]
  receipts.push(...store.appendBatchSync(others, { durability: 'buffered' }))
  const sequence: bigint = receipt.sequence
  const clock: number = receipt.clock
  const copied: bigint = receipt.toObject().sequence
  const outcomes = [{ gate: 'g', verdict: 'deny', code: 'C', message: 'm' }] as const
  await store.recordDenial(event, outcomes)
  store.recordDenialSync(event, outcomes, { durability: 'durable' })

  const found: Event | undefined = await store.get(receipt.id)
  const buffer: Buffer | undefined = found?.payload
  const value: { any: string[] } | undefined = found?.value<{ any: string[] }>()
  const unknownValue: unknown = store.atSync(sequence)?.value()
  const extension: Buffer | undefined = found?.extensions['audit.user']

  const query: Query = { prefix: 'order', clocks: [0, clock], from: 0, direction: 'backward' }
  for await (const item of store.read(query)) item.sequence satisfies bigint
  for (const item of store.readSync()) item.hash satisfies string
  for await (const page of store.pages({}, { events: 10, bytes: 1000 })) page satisfies Event[]
  for (const page of store.pagesSync()) page.length satisfies number
  const { signal } = new AbortController()
  for await (const { id } of store.follow({ from: 'end', scope: 'shop', signal })) {
    id satisfies string
  }

  const ancestry: Ancestry = await store.ancestors(receipt.id, { via: 'causation', limit: 2 })
  const head: Head = reader.headSync()
  const stream: StreamHead | undefined = await store.streamHead('order:1', 1)
  const frontier: Frontier = await store.frontier()
  const stats: Stats = store.statsSync()
  const verified: VerifyReport = await store.verify()
  const report: OpenReport = store.report
  const bringing: ImportOptions = { salvage: true, unvouched: false, decrypt: true, prefix: 'o' }
  const brought: ImportReport = await store.importFrom(new URL('file:///old'), bringing)
  const drops: Dropped[] = [...brought.drops, ...store.importFromSync('old').drops]
  const dropped: bigint | undefined = drops[0]?.sequence
  const giving: ExportOptions = { plain: true, segmentBytes: 1 << 20, clocks: [0, 9] }
  const given: ExportReport = await reader.exportTo('out', giving)
  const cover: Buffer = await reader.receiptCover0x(reader.exportToSync('out').segments)
  const covers: Buffer[] = [cover, reader.receiptCover0xSync(0)]
  const format: number = brought.sequencesKept ? brought.format : report.format
  void [dropped, given.bytes, covers, format, report.hidden]
  const staging: FenceOptions = { memoryBytes: 1 << 20 }
  using fence: Fence = store.beginFence(staging)
  const place: number = fence.append({ ...event, causation: { item: fence.appendBatch(others) } })
  for await (const item of fence.read({ from: place })) item satisfies Event
  for await (const page of fence.pages({}, { events: 10 })) page satisfies Event[]
  for (const page of fence.pagesSync()) page satisfies Event[]
  const staged: Event[] = [...fence.readSync({ from: fence.events })]
  const safely: CommitOptions = { durability: 'written' }
  const done: Committed = await fence.commit(safely)
  const first: bigint = store.beginFence().commitSync().firstSequence
  store.beginFence({ memoryBytes: 0n }).cancel()
  void [staged, done.duplicate, done.events, first]
  const going: Retention = {
    prefix: 'session',
    before: 100,
    olderThanUs: new Date(),
    newestPerEntity: 3n,
    keep: ({ sequence: at, erased }) => erased || at % 2n === 0n,
    unwanted: 'erase',
    keys: { window: 1 << 10, most: 5n, overflow: 'refuse' },
  }
  const compacting: CompactOptions = {
    retention: going,
    bytesPerSecond: 1 << 20,
    progress: ({ segmentsDone, segments }) => void (segmentsDone === segments),
    signal,
  }
  const compacted: CompactReport = await store.compact(compacting)
  const joined: bigint = store.compactSync().segmentsReplaced
  const tombstone: 0x0ffe = EventKind.TOMBSTONE
  void [compacted.eventsDropped, joined, tombstone]
  const keeping: SnapshotOptions = { earlier: new URL('file:///earlier'), independent: true }
  const kept: CopyReport = await store.snapshotTo(new URL('file:///copy'), keeping)
  const branching: ForkOptions = { at: kept.events, independent: false }
  const branches: CopyReport[] = [await store.forkTo('fork', branching), store.forkToSync('other')]
  const check: SnapshotCheck = await store.verifySnapshot('copy')
  const parted: Diff | undefined = check.isPrefix ? undefined : store.verifySnapshotSync('b').diff
  const difference: Diff[] = [await store.diff('fork'), reader.diffSync('fork')]
  const parent: Parent | undefined = store.parent
  const sizes: bigint = store.snapshotToSync('last', { earlier: 'copy' }).bytesCopied
  void [branches, parted?.common, difference, parent?.root, check.report.intact, sizes]
  const inspection: Inspection = await inspect(new URL('file:///data'))
  const opens: boolean = inspectSync('data').opening === 'OPENS'
  const refusal: BatpakError | undefined = inspection.refusal
  const inspected: OpenReport = inspection.report
  void [careful.path, opens, refusal?.kind, inspected.cutReason, inspection.storeId, inspection.bytes]
  const mending: RepairOptions = { keepAltered: true, maxLost: 9, segmentBytes: 1n << 20n, seed: 1 }
  const mended: RepairReport = await repair(new URL('file:///data'), new URL('file:///copy'), mending)
  const lost: LostEvents[] = [...mended.lostEvents, ...repairSync('data', 'copy').lostEvents]
  const left: LeftOut | undefined = mended.leftOut[0]
  const gone: bigint = mended.verify.dropped + mended.verify.tombstones + mended.verify.erased
  void [lost[0]?.firstSequence, left?.why, gone]
  const visible: bigint = await store.wait(1n, 100, { signal })
  const seen: bigint = reader.refreshSync()
  await store.flush()
  store.syncSync()
  const bytes: Buffer = encodePayload({ a: 1 })
  const decoded: number = decodePayload<number>(bytes)
  const numbers: number[] = errorKinds.map(({ number }) => number)
  void [buffer, value, unknownValue, extension, ancestry.boundary, head.root, stream?.clock]
  void [frontier.visible, stats.storeId, verified.findings[0]?.message, report.cutAt?.segment]
  void [visible, seen, decoded, numbers, copied]
}

export function everyError(error: unknown): string {
  if (!(error instanceof BatpakError)) return 'another'
  const offset: bigint | undefined = error.offset
  switch (error.code) {
    case 'BATPAK_CLOCK_CONFLICT':
      return error.retry === 'AFTER_READING' ? 'again' : error.kind
    // @ts-expect-error no such code
    case 'BATPAK_CLOCK':
      return String(offset)
  }
  return error.outcomes?.[0]?.gate ?? error.message
}

export function refused(store: Store): void {
  // @ts-expect-error a kind is needed
  store.appendSync({ entity: 'a', scope: 's' })
  // @ts-expect-error a slip in a field
  store.appendSync({ ...event, expcted: 3 })
  // @ts-expect-error no such word
  store.appendSync({ ...event, expected: 'none' })
  // @ts-expect-error sequences are not given as text
  store.atSync('0')
  // @ts-expect-error ids are not numbers
  store.getSync(5)
  // @ts-expect-error no such mode
  Store.openSync('data', { mode: 'append' })
  // @ts-expect-error a store is opened, not made
  new Store()
  // @ts-expect-error an event is read, not made
  new Event()
  // @ts-expect-error a gate gives a refusal or nothing
  store.appendSync(event, { gates: [{ name: 'g', check: () => true }] })
  // @ts-expect-error a gate answers at once
  store.appendSync(event, { gates: [{ name: 'g', check: async () => undefined }] })
  // @ts-expect-error extensions are bytes
  store.appendSync({ ...event, extensions: { 'a.b': 'text' } })
  // @ts-expect-error a sequence is a bigint
  const sequence: number = store.headSync().events
  // @ts-expect-error receipts are read-only
  store.appendSync(event).clock = 5
  // @ts-expect-error fields are read-only
  store.atSync(0n)!.entity = 'b'
  // @ts-expect-error clocks come in pairs
  store.readSync({ clocks: [1] })
  // @ts-expect-error following has no limit
  store.follow({ limit: 5 })
  // @ts-expect-error an import has no start
  store.importFromSync('old', { from: 0 })
  // @ts-expect-error a slip in an option
  store.importFromSync('old', { salvge: true })
  // @ts-expect-error options of an import are no words
  store.importFromSync('old', { decrypt: 'yes' })
  // @ts-expect-error a path is no bytes
  store.exportToSync(Buffer.from('old'))
  // @ts-expect-error an export has no salvage
  store.exportToSync('old', { salvage: true })
  // @ts-expect-error a fence is as safe as its commit
  store.beginFence({ durability: 'written' })
  // @ts-expect-error gates are not asked about staged events
  store.beginFence().append(event, { gates: [gate] })
  // @ts-expect-error a place is no sequence
  store.beginFence().append(event) satisfies bigint
  // @ts-expect-error no such word
  store.beginFence().commitSync({ durability: 'safe' })
  // @ts-expect-error the rules are those of a retention
  store.compactSync({ before: 3 })
  // @ts-expect-error a predicate answers
  store.compactSync({ retention: { keep: () => undefined } })
  // @ts-expect-error a predicate answers at once
  void store.compact({ retention: { keep: async () => true } })
  // @ts-expect-error no such word
  store.compactSync({ retention: { before: 3, unwanted: 'forget' } })
  // @ts-expect-error a snapshot is of everything
  store.snapshotToSync('copy', { at: 3 })
  // @ts-expect-error a repair has a destination
  repairSync('data')
  // @ts-expect-error a slip in an option
  repairSync('data', 'copy', { keepAlterd: true })
  // @ts-expect-error a fork has no earlier one
  store.forkToSync('fork', { earlier: 'copy' })
  // @ts-expect-error a parent is not assigned
  store.parent = undefined
  // @ts-expect-error categories and types are numbers
  EventKind.of('1', 2)
  void sequence
}
