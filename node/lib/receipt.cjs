// Receipts. They lie in blocks of bytes, whose layout `src/slab.rs` describes; a Receipt is a place
// in its block and reads a field when it is asked for it.
'use strict'

const { inspect } = require('node:util')
const { Block } = require('./block.cjs')
const { refuse } = require('./check.cjs')

const BYTES = 88
/** Receipts of single appends share blocks of this size: one that is kept keeps its block. */
const SHARED_BYTES = 64 * BYTES

/** Proves to the constructor that it is called from this file. */
const HERE = Symbol('receipt.cjs')

class Receipt {
  #block
  #at

  constructor(key, block, at) {
    if (key !== HERE) refuse('a Receipt is what an append gives')
    this.#block = block
    this.#at = at
  }

  get id() {
    return this.#block.hex(this.#at + 24, 16)
  }

  get sequence() {
    return this.#block.u64(this.#at)
  }

  get clock() {
    return this.#block.u32(this.#at + 72)
  }

  get lane() {
    return this.#block.u32(this.#at + 76)
  }

  get timestampUs() {
    return this.#block.i64(this.#at + 8)
  }

  get wallUs() {
    return this.#block.i64(this.#at + 16)
  }

  get hash() {
    return this.#block.hex(this.#at + 40, 32)
  }

  get duplicate() {
    return this.#block.bytes[this.#at + 80] !== 0
  }

  /** Every field, in an object of its own. */
  toObject() {
    return Object.fromEntries(GETTERS.map((name) => [name, this[name]]))
  }

  /** Every field in a form that JSON has: bigints as digits. */
  toJSON() {
    const [sequence, timestampUs, wallUs] = [this.sequence, this.timestampUs, this.wallUs].map(String)
    return { ...this.toObject(), sequence, timestampUs, wallUs }
  }

  [inspect.custom](depth, options) {
    return `Receipt ${inspect(this.toObject(), options)}`
  }
}

const GETTERS = Object.entries(Object.getOwnPropertyDescriptors(Receipt.prototype))
  .filter(([, { get }]) => get !== undefined)
  .map(([name]) => name)

let shared
let used = SHARED_BYTES

/** The receipt that these bytes are, which will be overwritten. */
function copyReceipt(bytes) {
  if (used === SHARED_BYTES) {
    shared = new Block(Buffer.allocUnsafeSlow(SHARED_BYTES))
    used = 0
  }
  shared.bytes.set(bytes, used)
  used += BYTES
  return new Receipt(HERE, shared, used - BYTES)
}

/** Receipts that lie in a block from a place on. */
function readReceipts(block, at, count) {
  const receipts = []
  for (let index = 0; index < count; index += 1) {
    receipts.push(new Receipt(HERE, block, at + index * BYTES))
  }
  return receipts
}

module.exports = { Receipt, RECEIPT_BYTES: BYTES, copyReceipt, readReceipts }
