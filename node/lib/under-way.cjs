// Appends that are under way, each a Promise. The native half leaves the results in an inbox and
// wakes the event loop once for all that have gathered; see `src/inbox.rs`.
'use strict'

const { Block } = require('./block.cjs')
const native = require('./native.cjs')
const { RECEIPT_BYTES, readReceipts } = require('./receipt.cjs')

const FAILED = 0xffff_ffff

/** What is under way in this thread, by its number in the inbox; the holes are free numbers. */
const appends = []
const free = []
let inbox

/** This thread's inbox. The first store makes it, so that importing the package starts nothing. */
function getInbox() {
  inbox ??= new native.NativeInbox(drain)
  return inbox
}

/** An append that is under way, and what became of it. */
class Append {
  ended = false
  receipts
  error
  resolve
  reject
  /** The one that was started next. */
  next

  constructor(line) {
    this.line = line
  }
}

/** The appends of one store that are under way. Their Promises settle in the order of their start. */
class UnderWay {
  #onEnd
  /** The one that was started first and has not ended; each names the next. */
  #oldest
  #newest
  #last = Promise.resolve()

  /** `onEnd` is called when some have ended. */
  constructor(onEnd) {
    this.#onEnd = onEnd
  }

  /** Calls the native function `start` with these values; the Promise is of the receipts. */
  begin(start, bytes, used, durability) {
    const token = free.length > 0 ? free.at(-1) : appends.length
    start(bytes, used, durability, token)
    free.pop()
    const append = new Append(this)
    appends[token] = append
    if (this.#oldest === undefined) this.#oldest = append
    else this.#newest.next = append
    this.#newest = append
    // The process stays until the last one has ended.
    if (appends.length - free.length === 1) inbox.keepAlive(true)
    this.#last = new Promise((resolve, reject) => {
      append.resolve = resolve
      append.reject = reject
    })
    return this.#last
  }

  /** Settles what has ended, up to the first that has not. */
  settle() {
    this.#onEnd()
    while (this.#oldest?.ended) {
      const { resolve, reject, receipts, error, next } = this.#oldest
      this.#oldest = next
      if (receipts) resolve(receipts)
      else reject(error)
    }
  }

  /** Resolves when all that were started before have ended. */
  async end() {
    await this.#last.catch(() => {})
  }
}

function drain() {
  for (let ended = inbox.take(); ended !== null; ended = inbox.take()) distribute(ended)
  if (appends.length === free.length) inbox.keepAlive(false)
}

/** Gives each append its result. */
function distribute({ block: buffer, errors = [] }) {
  const block = new Block(Buffer.from(buffer))
  const count = Number(block.u64(0))
  let at = 8 + count * 8
  let failures = 0
  for (let index = 0; index < count; index += 1) {
    const token = block.u32(8 + index * 8)
    const receipts = block.u32(12 + index * 8)
    const append = appends[token]
    appends[token] = undefined
    free.push(token)
    if (receipts === FAILED) {
      append.error = errors[failures]
      failures += 1
    } else {
      append.receipts = readReceipts(block, at, receipts)
      at += receipts * RECEIPT_BYTES
    }
    append.ended = true
    append.line.settle()
  }
}

module.exports = { UnderWay, getInbox }
