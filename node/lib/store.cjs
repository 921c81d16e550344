// The store. Each operation comes twice: as a Promise, and with `Sync` at the end of its name, done
// before it returns. What gives a Promise is done on the libuv pool, but for appends, which wait
// for nobody. Arguments are checked and copied before either.
'use strict'

require('./dispose.cjs')
const args = require('./arguments.cjs')
const { Block } = require('./block.cjs')
const check = require('./check.cjs')
const { Compaction } = require('./compact.cjs')
const { readEvents } = require('./event.cjs')
const { callLater, callNow, fromNative, later, now } = require('./errors.cjs')
const { beginFence } = require('./fence.cjs')
const gates = require('./gates.cjs')
const { lookUp } = require('./lookup.cjs')
const native = require('./native.cjs')
const { copyBytes, getOutgoing, newEvent, writeEvents, writeId } = require('./new-event.cjs')
const { RECEIPT_BYTES, copyReceipt, readReceipts } = require('./receipt.cjs')
const { pages, pagesSync, singly, singlySync } = require('./pages.cjs')
const { UnderWay, getInbox } = require('./under-way.cjs')
const { Watch } = require('./watch.cjs')

/** Proves to the constructor that it is called from this file. */
const HERE = Symbol('store.cjs')

/** The longest wait of the native half, in milliseconds. */
const MAX_WAIT_MS = check.MAX_U32

const APPEND_FIELDS = new Set(['durability', 'gates', 'gateMode', 'recordDenial'])

class Store {
  #native
  #appendNow
  #startAppend
  #findSequence
  #findId
  #underWay = new UnderWay(() => this.#watch.poke())
  #watch
  #path
  #report
  #parent

  constructor(key, handle, path) {
    if (key !== HERE) check.refuse('a Store is opened with Store.open or Store.openSync')
    this.#native = handle
    this.#appendNow = callNow(handle, 'appender')
    this.#startAppend = callNow(handle, 'starter', getInbox())
    this.#findSequence = callNow(handle, 'sequenceLookup')
    this.#findId = callNow(handle, 'idLookup')
    this.#watch = new Watch(() => later(handle, 'refresh'))
    this.#path = path
    this.#report = callNow(handle, 'report')
    this.#parent = callNow(handle, 'parent')
  }

  static async open(path, options) {
    const values = [args.directory(path), args.openArguments(options)]
    return new Store(HERE, await later(native, 'open', ...values), values[0])
  }

  static openSync(path, options) {
    const values = [args.directory(path), args.openArguments(options)]
    return new Store(HERE, now(native, 'open', ...values), values[0])
  }

  get path() {
    return this.#path
  }

  /** What opening found and did. */
  get report() {
    return this.#report
  }

  /** What it was forked from. */
  get parent() {
    return this.#parent
  }

  async append(event, options) {
    const request = requestOf([event], options)
    if (request.gates) await this.#passGates(request)
    try {
      return (await this.#start(request))[0]
    } catch (error) {
      throw fromNative(error)
    }
  }

  appendSync(event, options) {
    if (options === undefined) {
      return copyReceipt(this.#appendHere([newEvent(event)], args.DURABILITY_OF_STORE).receipt)
    }
    return this.appendBatchSync([event], options)[0]
  }

  async appendBatch(events, options) {
    const request = requestOf(events, options)
    if (request.gates) await this.#passGates(request)
    try {
      return await this.#start(request)
    } catch (error) {
      throw fromNative(error)
    }
  }

  appendBatchSync(events, options) {
    const request = requestOf(events, options)
    if (request.gates) this.#passGatesSync(request)
    return this.#appendSync(request)
  }

  beginFence(options) {
    return beginFence(this.#native, options, () => this.#watch.poke())
  }

  async recordDenial(event, outcomes, options) {
    return this.#recordDenial(denialOf(event, outcomes, options))
  }

  recordDenialSync(event, outcomes, options) {
    return this.#recordDenialSync(denialOf(event, outcomes, options))
  }

  /** Starts an append; the Promise is of the receipts, or of what the native half threw. */
  #start({ checked, durability }) {
    const used = writeEvents(checked)
    return this.#underWay.begin(this.#startAppend, getOutgoing().bytes, used, durability)
  }

  #appendSync({ checked, durability }) {
    const outgoing = this.#appendHere(checked, durability)
    if (checked.length === 1) return [copyReceipt(outgoing.receipt)]
    const bytes = Buffer.from(outgoing.bytes.subarray(0, checked.length * RECEIPT_BYTES))
    return readReceipts(new Block(bytes), 0, checked.length)
  }

  /** Appends; gives the block, with the receipts at its start. */
  #appendHere(checked, durability) {
    try {
      const used = writeEvents(checked)
      const outgoing = getOutgoing()
      this.#appendNow(outgoing.bytes, used, durability)
      this.#watch.poke()
      return outgoing
    } catch (error) {
      throw fromNative(error)
    }
  }

  async #recordDenial({ event, outcomes, durability }) {
    const bytes = written(event)
    const receipt = await later(this.#native, 'recordDenial', bytes, outcomes, durability)
    this.#watch.poke()
    return readReceipts(new Block(Buffer.from(receipt)), 0, 1)[0]
  }

  #recordDenialSync({ event, outcomes, durability }) {
    const bytes = written(event)
    const receipt = now(this.#native, 'recordDenial', bytes, outcomes, durability)
    this.#watch.poke()
    return readReceipts(new Block(Buffer.from(receipt)), 0, 1)[0]
  }

  async #passGates(request) {
    const known = []
    for (const id of request.ids) known.push(await this.get(id))
    const { denial, error } = this.#askGates(request, known)
    if (denial) await this.#recordDenial(denial).then(...gates.noteRecord(error))
    if (error) throw error
  }

  #passGatesSync(request) {
    const known = request.ids.map((id) => this.getSync(id))
    const { denial, error } = this.#askGates(request, known)
    if (denial) {
      const [recorded, failed] = gates.noteRecord(error)
      try {
        recorded(this.#recordDenialSync(denial))
      } catch (failure) {
        failed(failure)
      }
    }
    if (error) throw error
  }

  /**
   * If gates refused one of the events, the error, with the denial to record if that is asked for.
   * Events that are all there already add nothing, so their gates are not asked.
   */
  #askGates({ gates: set, checked, durability, ids }, known) {
    // A store that takes no events says so before its gates are asked.
    this.#appendHere([], durability)
    if (ids.length > 0 && known.every((event) => event !== undefined)) return {}
    for (const event of checked) {
      const refusal = gates.evaluate(set, Object.freeze(event))
      if (refusal === undefined) continue
      const { outcomes } = refusal
      const error = gates.refused(event, refusal)
      return set.recordDenial ? { error, denial: { event, outcomes, durability } } : { error }
    }
    return {}
  }

  async get(id) {
    return oneEvent(await callLater(this.#native, 'get', check.id('id', id)))
  }

  getSync(id) {
    return lookUp(this.#findId, writeId, check.id('id', id))
  }

  async at(sequence) {
    return oneEvent(await callLater(this.#native, 'at', check.u64('sequence', sequence)))
  }

  atSync(sequence) {
    return lookUp(this.#findSequence, writeSequence, check.u64('sequence', sequence))
  }

  read(query) {
    return singly(pages(this.#native, args.queryArguments(query), args.FIRST_ALONE))
  }

  readSync(query) {
    return singlySync(pagesSync(this.#native, args.queryArguments(query), args.FIRST_ALONE))
  }

  pages(query, sizes) {
    return pages(this.#native, args.queryArguments(query), args.pageArguments(sizes))
  }

  pagesSync(query, sizes) {
    return pagesSync(this.#native, args.queryArguments(query), args.pageArguments(sizes))
  }

  /** A read that does not end: after what is there comes what is appended. */
  follow(options) {
    const { query, from, signal } = args.followArguments(options)
    const start = from === 'end' ? now(this.#native, 'frontier').visible : from
    return this.#follow(query, start, signal)
  }

  async *#follow(query, start, signal) {
    let next = start
    for (;;) {
      // What is visible before the read begins is in it, so what the region leaves out of that
      // is never looked at again.
      const { visible } = await later(this.#native, 'frontier')
      const region = { ...query, from: next }
      for await (const page of pages(this.#native, region, args.pageArguments())) {
        for (const event of page) {
          signal?.throwIfAborted()
          next = event.sequence + 1n
          yield event
        }
      }
      if (visible > next) next = visible
      await this.#watch.wait({ events: next + 1n, timeoutMs: Infinity, signal })
    }
  }

  async ancestors(id, options) {
    return ancestry(await later(this.#native, 'ancestors', ...args.ancestorArguments(id, options)))
  }

  ancestorsSync(id, options) {
    return ancestry(now(this.#native, 'ancestors', ...args.ancestorArguments(id, options)))
  }

  async head() {
    return later(this.#native, 'head')
  }

  headSync() {
    return now(this.#native, 'head')
  }

  async headAt(events) {
    return later(this.#native, 'headAt', check.u64('events', events))
  }

  headAtSync(events) {
    return now(this.#native, 'headAt', check.u64('events', events))
  }

  async streamHead(entity, lane = 0) {
    return later(this.#native, 'streamHead', ...stream(entity, lane))
  }

  streamHeadSync(entity, lane = 0) {
    return now(this.#native, 'streamHead', ...stream(entity, lane))
  }

  async frontier() {
    return later(this.#native, 'frontier')
  }

  frontierSync() {
    return now(this.#native, 'frontier')
  }

  async stats() {
    return later(this.#native, 'stats')
  }

  statsSync() {
    return now(this.#native, 'stats')
  }

  async verify() {
    return later(this.#native, 'verify')
  }

  verifySync() {
    return now(this.#native, 'verify')
  }

  async importFrom(path, options) {
    const values = args.importArguments(path, options)
    try {
      return await later(this.#native, 'importFrom', ...values)
    } finally {
      // An import that failed may have appended, too.
      this.#watch.poke()
    }
  }

  importFromSync(path, options) {
    const values = args.importArguments(path, options)
    try {
      return now(this.#native, 'importFrom', ...values)
    } finally {
      this.#watch.poke()
    }
  }

  async exportTo(path, options) {
    return later(this.#native, 'exportTo', ...args.exportArguments(path, options))
  }

  exportToSync(path, options) {
    return now(this.#native, 'exportTo', ...args.exportArguments(path, options))
  }

  async receiptCover0x(sequence) {
    const checked = check.u64('sequence', sequence)
    return Buffer.from(await later(this.#native, 'receiptCover0x', checked))
  }

  receiptCover0xSync(sequence) {
    return Buffer.from(now(this.#native, 'receiptCover0x', check.u64('sequence', sequence)))
  }

  async compact(options) {
    const compaction = new Compaction(options)
    try {
      return await later(this.#native, 'compact', ...compaction.values)
    } catch (error) {
      throw compaction.causeOf(error)
    }
  }

  compactSync(options) {
    const compaction = new Compaction(options)
    try {
      return now(this.#native, 'compact', ...compaction.values)
    } catch (error) {
      throw compaction.causeOf(error)
    }
  }

  async snapshotTo(path, options) {
    return later(this.#native, 'snapshotTo', ...args.snapshotArguments(path, options))
  }

  snapshotToSync(path, options) {
    return now(this.#native, 'snapshotTo', ...args.snapshotArguments(path, options))
  }

  async verifySnapshot(path) {
    return later(this.#native, 'verifySnapshot', args.directory(path))
  }

  verifySnapshotSync(path) {
    return now(this.#native, 'verifySnapshot', args.directory(path))
  }

  async forkTo(path, options) {
    return later(this.#native, 'forkTo', ...args.forkArguments(path, options))
  }

  forkToSync(path, options) {
    return now(this.#native, 'forkTo', ...args.forkArguments(path, options))
  }

  async diff(path) {
    return later(this.#native, 'diff', args.directory(path))
  }

  diffSync(path) {
    return now(this.#native, 'diff', args.directory(path))
  }

  async refresh() {
    return later(this.#native, 'refresh')
  }

  refreshSync() {
    return now(this.#native, 'refresh')
  }

  async wait(events, timeoutMs = Infinity, options) {
    return this.#watch.wait(args.waitArguments(events, timeoutMs, options))
  }

  waitSync(events, timeoutMs = Infinity) {
    const wait = args.waitArguments(events, timeoutMs)
    return now(this.#native, 'wait', wait.events, Math.ceil(Math.min(wait.timeoutMs, MAX_WAIT_MS)))
  }

  async flush() {
    return later(this.#native, 'flush')
  }

  flushSync() {
    return now(this.#native, 'flush')
  }

  async sync() {
    return later(this.#native, 'sync')
  }

  syncSync() {
    return now(this.#native, 'sync')
  }

  async close() {
    // Appends that are under way end first, those that were started meanwhile as well.
    await this.#underWay.end()
    await later(this.#native, 'close')
    await this.#underWay.end()
    this.#watch.poke()
  }

  closeSync() {
    now(this.#native, 'close')
    this.#watch.poke()
  }

  [Symbol.dispose]() {
    this.closeSync()
  }

  async [Symbol.asyncDispose]() {
    await this.close()
  }
}

/**
 * What an append was given, checked. With gates it may wait before anything is written, so the bytes
 * are copied at once, and `ids` are those to look up before the gates are asked: of all events, if
 * every one has an id.
 */
function requestOf(events, options) {
  if (options === undefined) {
    const checked = check.list('events', events).map(newEvent)
    return { checked, durability: args.DURABILITY_OF_STORE, gates: undefined }
  }
  const given = check.fields('options', options, APPEND_FIELDS)
  const durability = args.appendDurability(given.durability)
  const set = gates.gateSet(given)
  const checked = check.list('events', events).map(newEvent)
  if (set.gates.length === 0) return { checked, durability, gates: undefined }
  const all = checked.every((event) => event.id !== undefined)
  const ids = all ? checked.map((event) => event.id) : []
  return { checked: checked.map(copyBytes), durability, gates: set, ids }
}

/** The bytes of one checked event. */
function written(event) {
  const used = writeEvents([event])
  return getOutgoing().bytes.subarray(0, used)
}

/** A denial to record, checked. */
function denialOf(event, outcomes, options) {
  const given = check.fields('options', options, new Set(['durability']))
  return {
    event: newEvent(event),
    outcomes: gates.outcomeList(outcomes),
    durability: args.appendDurability(given.durability),
  }
}

const writeSequence = (block, at, sequence) => block.view.setBigUint64(at, sequence, true)

/** The event of a block of one or none. */
function oneEvent(buffer) {
  return readEvents(Buffer.from(buffer))[0]
}

function stream(entity, lane) {
  return [check.text('entity', entity, 'INVALID_COORDINATE'), check.unsigned('lane', lane)]
}

function ancestry({ events, boundary }) {
  return { events: readEvents(Buffer.from(events)), boundary }
}

module.exports = { Store }
