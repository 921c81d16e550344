// Events that were read. They come many to a block of bytes, whose layout `src/slab.rs` describes;
// an Event is a place in its block and reads a field when it is asked for it.
'use strict'

const { inspect } = require('node:util')
const { Block } = require('./block.cjs')
const { refuse } = require('./check.cjs')
const msgpack = require('./msgpack.cjs')

const HEADER_BYTES = 8
const FIXED_BYTES = 184
/** Bits of the byte at offset 183. */
const BATCH_CONTINUES = 1
const ERASED = 2
const NO_ID = '0'.repeat(32)

/** Proves to the constructor that it is called from this file. */
const HERE = Symbol('event.cjs')

class Event {
  #block
  #at

  constructor(key, block, at) {
    if (key !== HERE) refuse('an Event is made by reading; append an object with its fields')
    this.#block = block
    this.#at = at
  }

  get sequence() {
    return this.#block.u64(this.#at)
  }

  get id() {
    return this.#block.hex(this.#at + 40, 16)
  }

  get correlation() {
    return this.#block.hex(this.#at + 56, 16)
  }

  get causation() {
    const id = this.#block.hex(this.#at + 72, 16)
    return id === NO_ID ? undefined : id
  }

  get timestampUs() {
    return this.#block.i64(this.#at + 8)
  }

  get wallUs() {
    return this.#block.i64(this.#at + 16)
  }

  get clock() {
    return this.#block.u32(this.#at + 152)
  }

  get lane() {
    return this.#block.u32(this.#at + 156)
  }

  get depth() {
    return this.#block.u32(this.#at + 160)
  }

  get kind() {
    return this.#block.u16(this.#at + 178)
  }

  get payloadVersion() {
    return this.#block.u16(this.#at + 180)
  }

  get flags() {
    return this.#block.bytes[this.#at + 182]
  }

  get entity() {
    const start = this.#block.u32(this.#at + 168)
    return this.#block.text(start, start + this.#block.u16(this.#at + 172))
  }

  get scope() {
    const start = this.#block.u32(this.#at + 168) + this.#block.u16(this.#at + 172)
    return this.#block.text(start, start + this.#block.u16(this.#at + 174))
  }

  /** The bytes, where they lie in the block: the Buffer keeps the block alive. */
  get payload() {
    const start = this.#extensionsStart() + this.#block.u16(this.#at + 176)
    return this.#block.bytes.subarray(start, start + this.#block.u32(this.#at + 164))
  }

  get extensions() {
    const block = this.#block
    const start = this.#extensionsStart()
    const end = start + block.u16(this.#at + 176)
    const extensions = {}
    for (let at = start; at < end; ) {
      const key = at + 4
      const value = key + block.u16(at)
      at = value + block.u16(key - 2)
      extensions[block.text(key, value)] = block.bytes.subarray(value, at)
    }
    return extensions
  }

  get hash() {
    return this.#block.hex(this.#at + 88, 32)
  }

  get prevHash() {
    return this.#block.hex(this.#at + 120, 32)
  }

  get segment() {
    return this.#block.u64(this.#at + 24)
  }

  get offset() {
    return this.#block.u64(this.#at + 32)
  }

  get batchContinues() {
    return (this.#block.bytes[this.#at + 183] & BATCH_CONTINUES) !== 0
  }

  get erased() {
    return (this.#block.bytes[this.#at + 183] & ERASED) !== 0
  }

  /** The payload decoded from MessagePack. */
  value() {
    return msgpack.decode(this.payload)
  }

  /** Every field, in an object of its own. */
  toObject() {
    return Object.fromEntries(GETTERS.map((name) => [name, this[name]]))
  }

  /** Every field in a form that JSON has: bigints as digits, bytes as base64. */
  toJSON() {
    const base64 = (bytes) => bytes.toString('base64')
    const extensions = Object.entries(this.extensions).map(([key, bytes]) => [key, base64(bytes)])
    return {
      ...this.toObject(),
      sequence: String(this.sequence),
      timestampUs: String(this.timestampUs),
      wallUs: String(this.wallUs),
      segment: String(this.segment),
      offset: String(this.offset),
      payload: base64(this.payload),
      extensions: Object.fromEntries(extensions),
    }
  }

  [inspect.custom](depth, options) {
    return `Event ${inspect(this.toObject(), options)}`
  }

  /** Behind the entity and the scope. */
  #extensionsStart() {
    const names = this.#block.u16(this.#at + 172) + this.#block.u16(this.#at + 174)
    return this.#block.u32(this.#at + 168) + names
  }
}

const GETTERS = Object.entries(Object.getOwnPropertyDescriptors(Event.prototype))
  .filter(([, { get }]) => get !== undefined)
  .map(([name]) => name)

/** The events of a block. */
function readEvents(bytes) {
  const block = new Block(bytes)
  const events = new Array(Number(block.u64(0)))
  for (let index = 0; index < events.length; index += 1) {
    events[index] = new Event(HERE, block, HEADER_BYTES + index * FIXED_BYTES)
  }
  return events
}

/** The event of a block of one or none that lies within a block. */
function firstEvent(block, at) {
  return block.u32(at) === 0 ? undefined : new Event(HERE, block, at + HEADER_BYTES)
}

module.exports = { Event, readEvents, firstEvent }
