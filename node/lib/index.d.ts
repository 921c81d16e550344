/// <reference types="node" />

/** 32 hex digits, lower-case: the id of an event, a correlation or a store. */
export type Id = string
/** 64 hex digits, lower-case. */
export type Hash = string
/** An id to hand in: 32 hex digits or 16 bytes. */
export type IdLike = string | Uint8Array
/** A sequence or count to hand in; numbers must be safe integers. */
export type Whole = bigint | number

/**
 * How far an append has come before it returns. `durable`: a sync that covers it was confirmed; it
 * survives a power cut. `written`: its bytes are in the file; it survives a killed process.
 * `buffered`: it is ordered in memory; a kill may lose it, but leaves no hole.
 */
export type Durability = 'durable' | 'written' | 'buffered'

export interface OpenOptions {
  /**
   * `create` (the default) creates what is missing, `existing` fails if there is no store,
   * `createNew` fails if there is one, `readOnly` reads beside a live writer, `salvage` reads what
   * is left of a damaged store.
   */
  mode?: 'create' | 'existing' | 'createNew' | 'readOnly' | 'salvage' | undefined
  /** A segment that has reached this size is sealed. Default 64 MiB. */
  segmentBytes?: Whole | undefined
  /** The largest payload that an append accepts. Default 16 MiB. */
  maxPayloadBytes?: number | undefined
  /** The durability of an append that names none. Default `durable`. */
  durability?: Durability | undefined
  /** Buffered events are written when this many bytes of them have gathered. Default 1 MiB. */
  bufferBytes?: number | undefined
  /** Buffered events are written at the latest after this many milliseconds. Default 100. */
  bufferMs?: number | undefined
  /** The most files kept open; 0, the default, takes a quarter of the process limit. */
  maxOpenFiles?: number | undefined
  /**
   * How many bytes of segments are kept in memory for reading, at the most; 0 keeps none. Default
   * 64 MiB.
   */
  cacheBytes?: Whole | undefined
  /**
   * How often the store goes on by itself after a panic during an append, which a defect of this
   * library causes: the appends of that group fail with `PANIC`, the end of the log is read from the
   * files again, and the next ones go on. After more of them appends fail with `POISONED` until the
   * store is reopened; reading goes on. 0 never goes on. Default 1.
   */
  restarts?: number | undefined
  /** The panics of how many milliseconds count; 0, the default, counts all since opening. */
  restartWindowMs?: number | undefined
  /** For tests: ids and times become functions of the seed and the sequence. */
  seed?: Whole | undefined
}

/** An event to append. What is absent has the default that its field names. */
export interface NewEvent {
  /** Whose event it is: 1 to 1,024 bytes without control characters, `/`, `|`, `=` and `..`. */
  entity: string
  /** The area it lives in, under the same rules. */
  scope: string
  /** What it says; see {@link EventKind}. */
  kind: number
  /**
   * A Uint8Array, such as a Buffer, is stored as it is. Any other value is stored as MessagePack,
   * and {@link Event.value} reads it back: null, booleans, numbers, bigints of 64 bits, strings,
   * bytes, arrays, Maps and plain objects; an object with `toJSON`, such as a Date, as what that
   * gives. Default: no bytes.
   */
  payload?: unknown
  /** Where the stream must stand: anywhere (the default), empty, or at this clock. */
  expected?: 'any' | 'noStream' | number | undefined
  /** The event's id, which makes the append idempotent. Default: a fresh one. */
  id?: IdLike | undefined
  /** The id shared by all events of one operation. Default: the event's own id. */
  correlation?: IdLike | undefined
  /** What caused it: an event, or an earlier item of the same batch or fence by its place, from 0. */
  causation?: IdLike | { item: number } | undefined
  /** The branch of the entity's stream. Default 0, the trunk. */
  lane?: number | undefined
  /** How deep the branch lies. Default 0. */
  depth?: number | undefined
  /** Eight bits that belong to you. Default 0. */
  flags?: number | undefined
  /** The version of the payload's schema. Default 0, "not versioned". */
  payloadVersion?: number | undefined
  /** When it happened, in microseconds since 1970, or a Date. Default: the time of recording. */
  timestampUs?: Whole | Date | undefined
  /** Keys such as `audit.user` with their bytes, as an object or as pairs. */
  extensions?:
    | Readonly<Record<string, Uint8Array>>
    | Iterable<readonly [key: string, bytes: Uint8Array]>
    | undefined
}

/**
 * Proof that an event was accepted, and where. It reads its fields from a block of bytes when they
 * are asked for; receipts that came together share a block, which lives as long as any of them.
 */
export interface Receipt {
  readonly id: Id
  /** Its place in the whole log, from 0. */
  readonly sequence: bigint
  /** Its place in its stream, from 0. */
  readonly clock: number
  readonly lane: number
  /** When it happened, in microseconds since 1970. */
  readonly timestampUs: bigint
  /** When it was recorded, in microseconds since 1970. */
  readonly wallUs: bigint
  readonly hash: Hash
  /** The event was there before: the append repeated an earlier one. */
  readonly duplicate: boolean
  /** Every field, in an object of its own. */
  toObject(): ReceiptFields
  /** Every field in a form that JSON has: bigints as digits. */
  toJSON(): Record<keyof ReceiptFields, string | number | boolean>
}

export type ReceiptFields = Omit<Receipt, 'toObject' | 'toJSON'>

/** Why a gate refuses. */
export interface Refusal {
  /** For programs, such as `LIMIT_EXCEEDED`. */
  code: string
  /** For people. */
  message: string
}

/** What a gate is asked about: the event with every default filled in. */
export interface CheckedEvent {
  readonly entity: string
  readonly scope: string
  readonly kind: number
  /** The bytes that would be stored. */
  readonly payload: Uint8Array
  readonly expected: 'any' | 'noStream' | number
  readonly id: Id | undefined
  readonly correlation: Id | undefined
  readonly causation: Id | { item: number } | undefined
  readonly lane: number
  readonly depth: number
  readonly flags: number
  readonly payloadVersion: number
  readonly timestampUs: bigint | undefined
  readonly extensions: readonly (readonly [key: string, bytes: Uint8Array])[]
}

/** A named check that is asked, on the caller's thread, before an append. */
export interface Gate {
  name: string
  /**
   * Nothing permits the event. A check that throws stops the append with the kind `CALLBACK`; in
   * the log it counts as a refusal with the code `GATE_DEFECT`.
   */
  check(event: CheckedEvent): Refusal | undefined
}

export interface GateOutcome {
  gate: string
  verdict: 'permit' | 'deny' | 'skipped'
  code?: string | undefined
  message?: string | undefined
}

export interface AppendOptions {
  /** Default: that of the store. */
  durability?: Durability | undefined
  /** Asked in this order about every event; one refusal refuses them all. */
  gates?: readonly Gate[] | undefined
  /** Whether the gates after a refusal are still asked. Default `failFast`. */
  gateMode?: 'failFast' | 'all' | undefined
  /** Whether a refusal is recorded in the log, as an event of kind `EventKind.DENIAL`. */
  recordDenial?: boolean | undefined
}

/** A filter over events. Every part that is set must match. */
export interface Region {
  /** This entity. Not together with `prefix`. */
  entity?: string | undefined
  /** This entity and everything below it at a `:`: `user:1` has `user:1:cart`, not `user:10`. */
  prefix?: string | undefined
  scope?: string | undefined
  /** This kind. Not together with `category`. */
  kind?: number | undefined
  /** Every kind of this category, 0 to 15. */
  category?: number | undefined
  lane?: number | undefined
  /** Clocks from the first to the second, both included. */
  clocks?: readonly [first: number, last: number] | undefined
}

export interface Query extends Region {
  /** The first sequence to look at, included. Default: the log's start, or its end backwards. */
  from?: Whole | undefined
  direction?: 'forward' | 'backward' | undefined
  /** At most so many events. Default: all that are visible when the read begins. */
  limit?: Whole | undefined
}

export interface PageSizes {
  /** The most events in a page. Default 1,024. */
  events?: number | undefined
  /** About the most bytes of payload in a page, which has one event at least. Default 1 MiB. */
  bytes?: number | undefined
}

export interface FollowOptions extends Region {
  /** The first sequence to give, or `end` for new events only. Default 0, the log's start. */
  from?: Whole | 'end' | undefined
  /** Ends the iteration with the signal's reason. */
  signal?: AbortSignal | undefined
}

export interface AncestorOptions {
  /** The event before it in its stream (the default), or the event that caused it. */
  via?: 'stream' | 'causation' | undefined
  /** At most so many events. Default 1,000. */
  limit?: Whole | undefined
}

export interface Ancestry {
  /** Newest first, the event itself included. */
  events: Event[]
  /** Why there are no more. */
  boundary: 'genesis' | 'limit' | 'missing' | 'cycle'
}

/** The end of the log. */
export interface Head {
  /** Visible events, which is the sequence of the next one. */
  events: bigint
  lastHash: Hash
  /** The root of the Merkle tree (SHA-256, RFC 6962) over all visible event hashes. */
  root: Hash
}

/** The end of a stream: the place of its last event. */
export interface StreamHead {
  clock: number
  sequence: bigint
  hash: Hash
}

/** How far events have come, each as a number of events from the start of the log. */
export interface Frontier {
  /** Ordered, in memory. */
  accepted: bigint
  /** Bytes in the file. */
  written: bigint
  /** Confirmed by a sync. */
  durable: bigint
  /** Shown to readers of this store. */
  visible: bigint
}

export interface Stats {
  /** Events that are shown: those that a retention has dropped are not. */
  events: bigint
  segments: bigint
  /** Bytes of all segments. */
  bytes: bigint
  entities: bigint
  /** Pairs of entity and lane. */
  streams: bigint
  storeId: Id
  /** The id under every event hash; forks share it. */
  lineageId: Id
}

/** What opening found and did, or what {@link inspect} found. */
export interface OpenReport {
  created: boolean
  /** The store had been closed cleanly. */
  clean: boolean
  /** 2, or 1 for a store of the batpak crate 0.x. */
  format: number
  events: bigint
  /** Events of cancelled fences of a 0.x store, which are not shown. */
  hidden: bigint
  segments: bigint
  /** Bytes cut from the unsynced end of the newest segment. */
  cutBytes: bigint
  cutAt?: { segment: bigint; offset: bigint }
  /** Why they were cut; empty when nothing was. */
  cutReason: string
  /** Leftovers of an interrupted operation that were removed. */
  removed: string[]
  /** Files that do not belong to the store and were left alone. */
  ignored: string[]
  /**
   * What was passed over, a sentence each: in a salvage, everything that was found damaged; in a
   * 0.x store, also what its crashes left behind. Empty otherwise.
   */
  damage: string[]
}

/** What a directory holds. */
export interface Inspection {
  /**
   * What opening it for appending would do. `CREATES`: create a store, since there is none. `OPENS`:
   * open it as it was closed. `RECOVERS`: open it after a crash, and cut what the report says.
   * `LOCKED`: fail, since another writer has it open. `ONLY_READS`: fail, since it is a store of the
   * batpak crate 0.x, which is opened for reading, or imported. `REFUSES`: fail, since it is damaged
   * or of a later version.
   */
  opening: 'CREATES' | 'OPENS' | 'RECOVERS' | 'LOCKED' | 'ONLY_READS' | 'REFUSES'
  /** Why, if readers are refused as well: the error that opening gives, or that a reader gets. */
  refusal?: BatpakError
  /** For a 0.x store, one derived from its first event; zeros if nothing can be read. */
  storeId: Id
  /** The id under every event hash; forks share it. */
  lineageId: Id
  /** Bytes of all segments. */
  bytes: bigint
  /**
   * What a reader finds; if readers are refused, what a salvage finds. Its `format` is 0 if there is
   * no store, or nothing that can be read of it.
   */
  report: OpenReport
}

export interface Finding {
  kind: 'SEGMENT' | 'FRAME' | 'HASH' | 'LINK' | 'SEQUENCE' | 'FOOTER' | 'ROOT'
  segment: bigint
  offset: bigint
  /** What was expected and what was found. */
  message: string
}

export interface VerifyReport {
  /** Whether nothing was found. */
  intact: boolean
  /** Events that were checked. */
  events: bigint
  /**
   * Of those, events that a retention has dropped: what is left of them is their hash, so that they are
   * told from events that never were.
   */
  dropped: bigint
  /** Events that a compaction has made tombstones. */
  tombstones: bigint
  /** Tombstones whose payload was erased. */
  erased: bigint
  segments: bigint
  /** The hash of the last event, recomputed. */
  lastHash: Hash
  /** The root of the tree, recomputed. */
  root: Hash
  /** Every damage, in log order. */
  findings: Finding[]
}

export interface RepairOptions {
  /**
   * Carry over, marked, also events that something speaks against: their hash is not that of their
   * fields, or what was recorded later names another event in their place. Default: they are lost.
   */
  keepAltered?: boolean | undefined
  /**
   * The places of so many lost events are held, at the most. Behind more of them, the repair fails with
   * `TOO_LARGE`. Default 2^24.
   */
  maxLost?: Whole | undefined
  /** The size of segments for what is appended anew. Default 64 MiB. */
  segmentBytes?: Whole | undefined
  /** For tests: the same damage gives the same copy. */
  seed?: Whole | undefined
}

/** What {@link repair} did. */
export interface RepairReport {
  /** The damaged store's id; all zeros if nothing tells it. */
  source: Id
  /** The copy's own id. */
  storeId: Id
  /** So many events, from the first on, were kept as they were. */
  kept: bigint
  /** So many behind those were appended anew: under their sequences, with other hashes. */
  appended: bigint
  /** So many behind those had been dropped by a retention. Their places are held. */
  dropped: bigint
  /** So many were lost, and have their places held. */
  lost: bigint
  /** Which. */
  lostEvents: LostEvents[]
  /**
   * Every run of bytes in a segment that is no event of the copy, and no header, footer or reserved
   * space; by segment and offset.
   */
  leftOut: LeftOut[]
  /** What was found damaged, a sentence each. */
  damage: string[]
  /** What verifying the copy found. */
  verify: VerifyReport
}

/** Lost events that follow each other. */
export interface LostEvents {
  firstSequence: bigint
  /** How many. */
  events: bigint
}

/** Bytes of a damaged store that its repaired copy lacks. */
export interface LeftOut {
  segment: bigint
  /** The offset of the first byte. */
  offset: bigint
  /** How many bytes. */
  bytes: bigint
  /** The sequence of the first event that stood there, as far as that can be told. */
  firstSequence: bigint
  /** How many events stood there; 0 also if that cannot be told. */
  events: bigint
  why: string
}

/** What to import, and how. */
export interface ImportOptions extends Region {
  /** Go past damage in the source: import what can still be read. Default: it is refused. */
  salvage?: boolean | undefined
  /**
   * Import also the events of a 0.x store that nothing vouches for, since their payload is not what
   * their hash says, their predecessor is another than their link says, or their key does not open
   * them. They are marked.
   */
  unvouched?: boolean | undefined
  /**
   * Import the plaintext of encrypted payloads of a 0.x store whose key is there. Default: the
   * ciphertext, with what is needed to decrypt it in the extension `batpak.encryption`.
   */
  decrypt?: boolean | undefined
}

/** What an import did. */
export interface ImportReport {
  /** The source's id: its store id, or for a 0.x store one derived from its first event. */
  source: Id
  /** The format of the source: 2, or 1 for the batpak crate 0.x. */
  format: number
  /** Events that were appended. */
  imported: bigint
  /** Events that were there already, from an earlier import. */
  alreadyThere: bigint
  /** Events of cancelled fences of a 0.x store, which nobody may see. */
  hidden: bigint
  /** Events that are not in the region. */
  outside: bigint
  /** Events that were left out; the reasons are in `drops`. */
  dropped: bigint
  /** Every event of the source that is in this store has the sequence that it has there. */
  sequencesKept: boolean
  /** Idempotency keys of a 0.x store whose events a compaction has removed: they cannot be kept. */
  keysWithoutEvents: bigint
  /** Why events were left out: the first thousand. */
  drops: Dropped[]
}

/** What to export, and how. */
export interface ExportOptions extends Region {
  /**
   * Write what the batpak crate 0.1 reads, too: without extensions and payload versions, and nearly
   * twice as large. Default: what 0.7 to 0.10 read.
   */
  plain?: boolean | undefined
  /** A segment that has reached this size is ended before the next event. Default 64 MiB. */
  segmentBytes?: Whole | undefined
}

/** What an export did. */
export interface ExportReport {
  /** Events that were written. */
  exported: bigint
  /** Places of hidden events that were written, so that sequences stay the same. */
  hidden: bigint
  /** Events that were left out; the reasons are in `drops`. */
  dropped: bigint
  /** Segments that were written. */
  segments: bigint
  /** Their bytes. */
  bytes: bigint
  /** Why events were left out: the first thousand. */
  drops: Dropped[]
}

/** An event, or a place in a file, that was left out. */
export interface Dropped {
  /** The segment of the store that was read. */
  segment: bigint
  /** The byte offset in it. */
  offset: bigint
  /** The sequence there, if it has one. */
  sequence?: bigint
  /** It is an event; otherwise it is bytes that may have been events. */
  isEvent: boolean
  /** Why. */
  reason: string
}

export interface FenceOptions {
  /**
   * About how many bytes of its events are kept in memory, at the most; those beyond go to a file in
   * the store's directory, which nobody else can see. Default 16 MiB.
   */
  memoryBytes?: Whole | undefined
}

/** What committing a fence did. */
export interface Committed {
  /**
   * The sequence of its first event; the others follow it. Of a repeated fence, that of the event
   * with the first one's id. Of a fence without events, how many events are visible.
   */
  firstSequence: bigint
  /** How many events it has. */
  events: bigint
  /** Its events were there before: the fence repeated an earlier one. */
  duplicate: boolean
}

/**
 * Events that are staged: nobody sees them until {@link Fence.commit}, and then everybody sees all of
 * them. {@link Store.beginFence} makes one. Until then {@link Fence.cancel}, a crash, closing the
 * store and collecting the fence as garbage leave nothing of it. Once it was committed or cancelled,
 * and while a commit is under way, every method fails with `CLOSED`.
 */
export interface Fence extends Disposable {
  /** How many events it has. */
  readonly events: bigint
  /**
   * Stages an event behind those that the fence has, before it returns, and gives its place in the
   * fence, from 0, which `causation: { item: place }` of a later event names. What does not depend on
   * the log is checked here; ids and expected clocks are compared with it by the commit.
   */
  append(event: NewEvent): number
  /** Stages all events or none, as many as a batch may have; gives the place of the first. */
  appendBatch(events: readonly NewEvent[]): number
  /**
   * Its own events, from a place on, one by one; those that are staged meanwhile come, too. What an
   * event gets from the log is missing: its sequence is its place in the fence, its clock, segment,
   * offset and hashes are zero. So are its id and its time, unless they were given, and it has no
   * cause if the id of that was not given.
   */
  read(options?: StagedOptions): AsyncGenerator<Event, void, undefined>
  readSync(options?: StagedOptions): Generator<Event, void, undefined>
  /** Its own events, page by page. */
  pages(options?: StagedOptions, sizes?: PageSizes): AsyncGenerator<Event[], void, undefined>
  pagesSync(options?: StagedOptions, sizes?: PageSizes): Generator<Event[], void, undefined>
  /**
   * Appends its events as one batch, which takes its place in the log now: ids and expected clocks
   * are checked, and when all is as safe as asked for, all events become visible at once. Without
   * events, nothing is done.
   *
   * If all its events have ids that are known already, with the same content, nothing is appended,
   * and the result says so. A commit that fails leaves the fence open: it can be tried again, or
   * cancelled. A store that is closed while the Promise is pending may refuse it.
   */
  commit(options?: CommitOptions): Promise<Committed>
  commitSync(options?: CommitOptions): Committed
  /** Ends the fence without appending anything. */
  cancel(): void
  /** Cancels it unless it has ended, or a commit is under way. */
  [Symbol.dispose](): void
}

export interface StagedOptions {
  /** The first place to look at. Default 0. */
  from?: Whole | undefined
}

export interface CommitOptions {
  /** Default: that of the store. */
  durability?: Durability | undefined
}

/**
 * Which events are no longer wanted: those that every rule which is set calls unwanted. At least one
 * must be set. Events outside the region stay, and so do the library's own, such as denials.
 */
export interface Retention extends Region {
  /** Events from this sequence on stay. */
  before?: Whole | undefined
  /** Events of this timestamp or later stay: microseconds since 1970, or a Date. */
  olderThanUs?: Whole | Date | undefined
  /** So many newest events of each entity stay, on all its lanes together. */
  newestPerEntity?: Whole | undefined
  /**
   * Asked, in the order of the log, about each event that the other rules call unwanted: whether it
   * stays, as a boolean and nothing else. It is called on the thread of JavaScript, and may read and
   * append. Behind a Promise each answer costs a turn of the event loop.
   */
  keep?: ((event: Event) => boolean) | undefined
  /**
   * What becomes of the others. `drop` (the default): they are no longer shown; their hashes are kept,
   * so that roots and proofs stay what they were. `tombstone`: they are shown with the kind
   * `EventKind.TOMBSTONE`; payloads stay. `erase`: the same, and payloads are erased, but for their
   * hashes.
   */
  unwanted?: 'drop' | 'tombstone' | 'erase' | undefined
  /** Which keys of dropped events are kept. */
  keys?: Keys | undefined
}

/**
 * The idempotency window: for how long the keys of dropped events are kept, that is, the ids that
 * callers gave. As long as its key is kept, repeating an append gives the receipt of the first time,
 * or a conflict if the content is another; later, the same id begins a new event. The key of an event
 * that is not dropped is never forgotten.
 */
export interface Keys {
  /** Keys of this many sequences up to the newest event are kept, always. Default 2^20. */
  window?: Whole | undefined
  /** So many keys are to be kept at the most. Default 2^20. */
  most?: Whole | undefined
  /**
   * What happens when there are more of them in the window. `warn` (the default): they are kept all
   * the same, and the report says how many too many there are. `refuse`: the compaction fails with
   * `TOO_LARGE`, and nothing is changed.
   */
  overflow?: 'warn' | 'refuse' | undefined
}

export interface CompactOptions {
  /** Which events go. Default: none; small segments are joined, and nothing else. */
  retention?: Retention | undefined
  /** How many bytes are read and written in a second at the most. Default 0, as many as can be. */
  bytesPerSecond?: Whole | undefined
  /** Told, about once per MiB and at each segment, how far it is. Called on the thread of JavaScript. */
  progress?: ((progress: CompactProgress) => void) | undefined
  /** Ends it with the signal's reason, where `progress` would be told. */
  signal?: AbortSignal | undefined
}

/** How far a compaction is. */
export interface CompactProgress {
  /** Sealed segments that were looked at, and written again if need be. */
  segmentsDone: bigint
  /** Sealed segments there are. */
  segments: bigint
  /** Bytes read so far; what is written again is read twice. */
  bytesRead: bigint
  /** Bytes written so far. */
  bytesWritten: bigint
}

/** What a compaction did. */
export interface CompactReport {
  /** Segments of the store before, the newest one included. */
  segmentsBefore: bigint
  /** Segments of the store afterwards. */
  segmentsAfter: bigint
  /** Segments that others took the place of. */
  segmentsReplaced: bigint
  /** Segments that took their place. */
  segmentsWritten: bigint
  /** Bytes of all segments before. */
  bytesBefore: bigint
  /** Bytes of all segments afterwards. */
  bytesAfter: bigint
  /** Events that were dropped. */
  eventsDropped: bigint
  /** Events that became tombstones, or whose payload was erased. */
  tombstones: bigint
  /**
   * Keys of dropped events in the window, from earlier compactions, too; all of these are kept. 0
   * without a retention, since they are not counted then.
   */
  keysKept: bigint
  /** How many of those are more than there should be. */
  keysOver: bigint
}

export interface SnapshotOptions {
  /**
   * The directory of an earlier snapshot of this store, or of the one that it was forked from: sealed
   * segments that it has are shared with it, rather than copied.
   */
  earlier?: string | URL | undefined
  /**
   * Share no file with this store, so that damage to the files of one is none to the other. What an
   * earlier snapshot has is shared with that.
   */
  independent?: boolean | undefined
}

export interface ForkOptions {
  /**
   * How many events, from the first on, the fork has in common with this store. Default: all that
   * are visible. A batch cannot be cut.
   */
  at?: Whole | undefined
  /** Share no file with this store, so that damage to the files of one is none to the other. */
  independent?: boolean | undefined
}

/** What a snapshot or a fork holds, and how it came there. */
export interface CopyReport {
  /** The store id of the copy: of a snapshot the same, of a fork a new one. */
  storeId: Id
  /** The events in it. */
  events: bigint
  /** The root of the tree over those. */
  root: Hash
  /** Its segments. */
  segments: bigint
  /** Segments that it shares with another store, by hard links. */
  linked: bigint
  /** Segments that were copied, the newest one included. */
  copied: bigint
  /** The bytes of those. */
  bytesCopied: bigint
}

/**
 * How the logs of two stores compare. The sequences from `common` to before `ours` are those that only
 * this store has, or has with other events; likewise for `theirs`.
 */
export interface Diff {
  /** So many events, from the first on, are the same in both. */
  common: bigint
  /** The number of events of this store. */
  ours: bigint
  /** The number of events of the other store. */
  theirs: bigint
}

/** What a snapshot is worth. */
export interface SnapshotCheck {
  /** Whether the snapshot is intact, and this store's log begins with it. */
  isPrefix: boolean
  /** What verifying the snapshot found. */
  report: VerifyReport
  /**
   * How it compares with this store, if it is intact: `ours` are the events of this store, `theirs`
   * those of the snapshot.
   */
  diff?: Diff
}

/** What a store was forked from. */
export interface Parent {
  /** The store. */
  storeId: Id
  /** So many events, from the first on, are common. */
  events: bigint
  /** The root of the tree over those. */
  root: Hash
}

/**
 * A stored event. It reads its fields from a block of bytes that belongs to JavaScript, so it
 * stays valid after the store is closed. The events of a page share one block, which lives as long
 * as any of them or of their payloads.
 */
export class Event {
  private constructor()
  /** Its place in the whole log, from 0. */
  readonly sequence: bigint
  readonly id: Id
  /** The id shared by all events of its operation; its own id if none was given. */
  readonly correlation: Id
  /** The id of the event that caused it. */
  readonly causation: Id | undefined
  /** When it happened, in microseconds since 1970. */
  readonly timestampUs: bigint
  /** When it was recorded, in microseconds since 1970; never falls within a stream. */
  readonly wallUs: bigint
  /** Its place in its stream, from 0. */
  readonly clock: number
  readonly lane: number
  readonly depth: number
  readonly kind: number
  readonly payloadVersion: number
  readonly flags: number
  readonly entity: string
  readonly scope: string
  readonly payload: Buffer
  /** The extensions, by rising key. */
  readonly extensions: Record<string, Buffer>
  /** The hash over the event and its stream up to it. */
  readonly hash: Hash
  /** The hash of the event before it in its stream; zeros for the first. */
  readonly prevHash: Hash
  /** The segment that holds it. */
  readonly segment: bigint
  /** The byte offset of its frame in the segment. */
  readonly offset: bigint
  /** Whether later events of the same batch follow it. */
  readonly batchContinues: boolean
  /** Whether a compaction has erased its payload, which is then empty. The hash still covers it. */
  readonly erased: boolean
  /** The payload decoded from MessagePack. Integers beyond 2^53 are bigints. */
  value<T = unknown>(): T
  /** Every field, in an object of its own. */
  toObject(): Record<string, unknown>
  /** Every field in a form that JSON has: bigints as digits, bytes as base64. */
  toJSON(): Record<string, unknown>
}

/**
 * An open store. The methods that return a Promise never block the event loop: appends are committed
 * by a thread of the store, all that are under way together, and the rest works on the libuv pool.
 * Those that end in `Sync` block it. Arguments are copied before either returns.
 */
export class Store implements Disposable, AsyncDisposable {
  private constructor()
  static open(path: string | URL, options?: OpenOptions): Promise<Store>
  static openSync(path: string | URL, options?: OpenOptions): Store

  /** The directory. */
  readonly path: string
  /** What opening found and did. */
  readonly report: OpenReport
  /** What this store was forked from; `undefined` if it is no fork. */
  readonly parent: Parent | undefined

  /** Appends are committed, and their Promises settle, in the order in which they were started. */
  append(event: NewEvent, options?: AppendOptions): Promise<Receipt>
  appendSync(event: NewEvent, options?: AppendOptions): Receipt
  /** Appends all events or none, in this order, with nothing between them. */
  appendBatch(events: readonly NewEvent[], options?: AppendOptions): Promise<Receipt[]>
  appendBatchSync(events: readonly NewEvent[], options?: AppendOptions): Receipt[]
  /**
   * Begins a fence: events that nobody sees until all of them are committed, as one batch of up to
   * 4 GiB. An open fence holds nothing of the log, so that nobody waits for it, and any number of
   * them may be open.
   */
  beginFence(options?: FenceOptions): Fence
  /** Records that gates, asked by yourself, refused an event. */
  recordDenial(
    event: NewEvent,
    outcomes: readonly GateOutcome[],
    options?: { durability?: Durability | undefined },
  ): Promise<Receipt>
  recordDenialSync(
    event: NewEvent,
    outcomes: readonly GateOutcome[],
    options?: { durability?: Durability | undefined },
  ): Receipt

  get(id: IdLike): Promise<Event | undefined>
  getSync(id: IdLike): Event | undefined
  at(sequence: Whole): Promise<Event | undefined>
  atSync(sequence: Whole): Event | undefined

  /** The events of a query, one by one; fetched a page at a time. */
  read(query?: Query): AsyncGenerator<Event, void, undefined>
  readSync(query?: Query): Generator<Event, void, undefined>
  /** The events of a query, page by page. */
  pages(query?: Query, sizes?: PageSizes): AsyncGenerator<Event[], void, undefined>
  pagesSync(query?: Query, sizes?: PageSizes): Generator<Event[], void, undefined>
  /** A read that does not end: after what is there comes what is appended, in order, no loss. */
  follow(options?: FollowOptions): AsyncGenerator<Event, void, undefined>

  /** Walks back from an event along a link. Fails with `NOT_FOUND` if there is no such event. */
  ancestors(id: IdLike, options?: AncestorOptions): Promise<Ancestry>
  ancestorsSync(id: IdLike, options?: AncestorOptions): Ancestry
  head(): Promise<Head>
  headSync(): Head
  /** The end of the log as it was when it had so many events, to compare with one noted down. */
  headAt(events: bigint | number): Promise<Head>
  headAtSync(events: bigint | number): Head
  streamHead(entity: string, lane?: number): Promise<StreamHead | undefined>
  streamHeadSync(entity: string, lane?: number): StreamHead | undefined
  frontier(): Promise<Frontier>
  frontierSync(): Frontier
  stats(): Promise<Stats>
  statsSync(): Stats
  /** Checks every byte, hash and link. */
  verify(): Promise<VerifyReport>
  verifySync(): VerifyReport

  /**
   * Imports the events of another store that are in the region: of this format, or of the batpak
   * crate 0.1 to 0.10. The source is opened for reading and not changed.
   *
   * Kept are ids, kinds, times, lanes, depths, flags, correlation, causation, extensions, payload
   * versions, payloads and batches; and sequences, when everything is imported into an empty store
   * and nobody appends meanwhile. Clocks and hashes are those of this store. An event whose id is
   * here already with the same content is counted and left alone: an import can be repeated, and
   * goes on where it was interrupted. All of it is durable at the end.
   */
  importFrom(path: string | URL, options?: ImportOptions): Promise<ImportReport>
  importFromSync(path: string | URL, options?: ImportOptions): ImportReport
  /**
   * Writes the events that are in the region to a new directory, as a store of the batpak crate
   * 0.x. The directory must not exist, or be empty; nothing of a failed export is left under its
   * name.
   *
   * Kept are ids, kinds, times, lanes, depths, flags, correlation, causation, extensions, payload
   * versions and payloads; an imported event gets its old clock. The sequences there are the places
   * of the events in the export.
   */
  exportTo(path: string | URL, options?: ExportOptions): Promise<ExportReport>
  exportToSync(path: string | URL, options?: ExportOptions): ExportReport
  /**
   * The bytes that a receipt of the batpak crate 0.7 to 0.10 vouches for, for an event of a 0.x
   * store that is opened for reading: the receipt's signature is Ed25519 over the BLAKE3 of these
   * bytes, its key id the BLAKE3 of the public key. A receipt of 0.7 with extensions is not covered:
   * its extensions are not in the store.
   */
  receiptCover0x(sequence: Whole): Promise<Buffer>
  receiptCover0xSync(sequence: Whole): Buffer

  /**
   * Puts new segments in the place of sealed ones, while others append and read: drops events that
   * are no longer wanted, or makes tombstones of them, and joins small segments. With a retention, the
   * newest segment is sealed first, so that it holds for every event that is visible.
   *
   * What stays keeps its sequence, clock, hash and receipt; heads that were noted down still hold. One
   * who reads meanwhile may or may not see an event that goes. Fails with `LOCKED` while another
   * compaction of the store is under way.
   *
   * What `keep` or `progress` throws, an abort, and closing the store end it: it fails with that very
   * error, and the store is as it was. So it is if the process exits.
   */
  compact(options?: CompactOptions): Promise<CompactReport>
  compactSync(options?: CompactOptions): CompactReport

  /**
   * Makes a snapshot in a new directory, while others append: all events that are visible now, and
   * what is needed to open them as a store, with the same store id. To restore it is to open it. The
   * directory must not exist, or be empty; nothing of a failed snapshot is left under its name, and
   * one that has its name is whole and survives a power cut.
   *
   * Sealed segments are shared with this store by hard links where the file system can do that, and
   * copied otherwise.
   */
  snapshotTo(path: string | URL, options?: SnapshotOptions): Promise<CopyReport>
  snapshotToSync(path: string | URL, options?: SnapshotOptions): CopyReport
  /**
   * Verifies a snapshot, all of it, and compares it with this store: whether this store's log begins
   * with it, and otherwise where they part.
   */
  verifySnapshot(path: string | URL): Promise<SnapshotCheck>
  verifySnapshotSync(path: string | URL): SnapshotCheck
  /**
   * Makes a fork in a new directory, while others append: a store of its own, with its own id, that
   * begins with events of this one and can be appended to. Those keep their ids, hashes and places;
   * receipts and proofs stay valid. The directory must not exist, or be empty; nothing of a failed
   * fork is left under its name, and one that has its name is whole and survives a power cut.
   *
   * Sealed segments are shared with this store by hard links where the file system can do that, and
   * copied otherwise.
   */
  forkTo(path: string | URL, options?: ForkOptions): Promise<CopyReport>
  forkToSync(path: string | URL, options?: ForkOptions): CopyReport
  /**
   * Compares this store with another one: a fork of it, its parent, or a snapshot. Stores that are no
   * relatives have nothing in common, whatever is in them. What is compared are the hashes that are
   * recorded; {@link Store.verify} shows that they are those of the events.
   */
  diff(path: string | URL): Promise<Diff>
  diffSync(path: string | URL): Diff

  /** Read-only: looks for what a writer elsewhere has made visible; gives how many events are. */
  refresh(): Promise<bigint>
  refreshSync(): bigint
  /** Waits until so many events are visible or the time is up; gives how many are. */
  wait(
    events: Whole,
    timeoutMs?: number,
    options?: { signal?: AbortSignal | undefined },
  ): Promise<bigint>
  waitSync(events: Whole, timeoutMs?: number): bigint

  /** Writes what is buffered. */
  flush(): Promise<void>
  flushSync(): void
  /** Writes what is buffered and syncs. */
  sync(): Promise<void>
  syncSync(): void
  /**
   * Writes and syncs what is buffered, and closes, after the appends that are under way. Closing
   * twice is fine.
   */
  close(): Promise<void>
  closeSync(): void
  [Symbol.dispose](): void
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Looks at a directory: what it holds, its health as far as opening checks it, and what opening it
 * would do. Changes nothing, and does not disturb a live writer. To check every byte, open it with
 * the mode `readOnly` and call {@link Store.verify}. Fails only if the directory could not be looked
 * at.
 */
export function inspect(path: string | URL): Promise<Inspection>
export function inspectSync(path: string | URL): Inspection

/**
 * Writes a copy of a damaged store to a new directory, which must not exist, or be empty: with all
 * events that can be read and that nothing speaks against, each under its sequence. The damaged store
 * is not changed; no writer may have it open. Nothing of a copy that failed is left under its name; one
 * that has its name is whole, and survives a power cut.
 *
 * The events before the first damage are the same, hashes included: the copy is a fork of the damaged
 * store, with its own id. Those behind it have new hashes, links and clocks, and say where they come
 * from in their extension `batpak.import`. An empty event of kind `EventKind.TOMBSTONE` holds the place
 * of each that was lost.
 */
export function repair(
  damaged: string | URL,
  destination: string | URL,
  options?: RepairOptions,
): Promise<RepairReport>
export function repairSync(
  damaged: string | URL,
  destination: string | URL,
  options?: RepairOptions,
): RepairReport

/** Event kinds: four bits of category, twelve bits of type. Categories 0x0 and 0xD are reserved. */
export const EventKind: {
  /** A general-purpose kind for data without a vocabulary of its own. */
  readonly DATA: 0x1000
  /** A gate's refusal, recorded by the library. */
  readonly DENIAL: 0x000f
  /** What a compaction made a tombstone of. */
  readonly TOMBSTONE: 0x0ffe
  /** The kind of this category (0 to 15) and type (0 to 4,095). */
  of(category: number, type: number): number
  category(kind: number): number
  type(kind: number): number
}

/** What went wrong. Numbers and names are the same in every language. */
export type ErrorName =
  | 'INVALID_ARGUMENT'
  | 'INVALID_COORDINATE'
  | 'INVALID_KIND'
  | 'TOO_LARGE'
  | 'CLOCK_CONFLICT'
  | 'IDEMPOTENCY_CONFLICT'
  | 'DENIED'
  | 'NOT_FOUND'
  | 'CLOSED'
  | 'LOCKED'
  | 'READ_ONLY'
  | 'IO'
  | 'DISK_FULL'
  | 'CORRUPT'
  | 'UNSUPPORTED'
  | 'POISONED'
  | 'INDETERMINATE'
  | 'FORKED'
  | 'BAD_HANDLE'
  | 'PANIC'
  | 'CALLBACK'
  | 'DECODE'

/** Whether, and after what, the same call can succeed. */
export type Retry = 'NEVER' | 'LATER' | 'AFTER_READING' | 'AFTER_REOPENING'

/** Every failure of this package. */
export class BatpakError extends Error {
  private constructor()
  readonly name: 'BatpakError'
  readonly code: `BATPAK_${ErrorName}`
  readonly kind: ErrorName
  /** The stable number. */
  readonly number: number
  readonly retry: Retry
  /** The file or directory, where there is one. */
  readonly path?: string
  /** The segment number, where there is one. */
  readonly segment?: bigint
  /** The byte offset in the segment, where there is one. */
  readonly offset?: bigint
  /** The operating system's error number, where there is one. */
  readonly osCode?: number
  /** Of a `DENIED` or `CALLBACK`: each gate's verdict. */
  readonly outcomes?: readonly GateOutcome[]
}

/** Every kind of error, in the order of its number. */
export const errorKinds: readonly {
  readonly number: number
  readonly name: ErrorName
  readonly retry: Retry
}[]

/**
 * The id to give to an event so that an operation takes place once, however often it is tried:
 * the same components give the same id, in every language.
 */
export function operationId(domain: string, ...components: (string | Uint8Array)[]): Id

/** The MessagePack form of a value, as {@link NewEvent.payload} has it. */
export function encodePayload(value: unknown): Buffer
/** The value of a MessagePack form. */
export function decodePayload<T = unknown>(bytes: Uint8Array): T
