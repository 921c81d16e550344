// Events that were read. They come many to a block of bytes, whose layout `src/slab.rs` describes;
// an Event is a place in its block and reads a field when it is asked for it.
'use strict'

const { inspect } = require('node:util')
const msgpack = require('./msgpack.cjs')
const { refuse } = require('./check.cjs')

const HEADER_BYTES = 8
const FIXED_BYTES = 184
const NO_ID = '0'.repeat(32)

/** Proves to the constructor that it is called from this file. */
const HERE = Symbol('events.cjs')

class Event {
  #bytes
  #at

  constructor(key, bytes, at) {
    if (key !== HERE) refuse('an Event is made by reading; append an object with its fields')
    this.#bytes = bytes
    this.#at = at
  }

  get sequence() {
    return this.#bytes.readBigUInt64LE(this.#at)
  }

  get id() {
    return this.#hex(40, 16)
  }

  get correlation() {
    return this.#hex(56, 16)
  }

  get causation() {
    const id = this.#hex(72, 16)
    return id === NO_ID ? undefined : id
  }

  get timestampUs() {
    return this.#bytes.readBigInt64LE(this.#at + 8)
  }

  get wallUs() {
    return this.#bytes.readBigInt64LE(this.#at + 16)
  }

  get clock() {
    return this.#bytes.readUInt32LE(this.#at + 152)
  }

  get lane() {
    return this.#bytes.readUInt32LE(this.#at + 156)
  }

  get depth() {
    return this.#bytes.readUInt32LE(this.#at + 160)
  }

  get kind() {
    return this.#bytes.readUInt16LE(this.#at + 178)
  }

  get payloadVersion() {
    return this.#bytes.readUInt16LE(this.#at + 180)
  }

  get flags() {
    return this.#bytes[this.#at + 182]
  }

  get entity() {
    const [start, end] = this.#places()
    return this.#bytes.toString('utf8', start, end)
  }

  get scope() {
    const [, start, end] = this.#places()
    return this.#bytes.toString('utf8', start, end)
  }

  /** The bytes, where they lie in the block: the Buffer keeps the block alive. */
  get payload() {
    const [, , , start, end] = this.#places()
    return this.#bytes.subarray(start, end)
  }

  get extensions() {
    const [, , start, end] = this.#places()
    const extensions = {}
    for (let at = start; at < end; ) {
      const key = at + 4
      const value = key + this.#bytes.readUInt16LE(at)
      at = value + this.#bytes.readUInt16LE(key - 2)
      extensions[this.#bytes.toString('utf8', key, value)] = this.#bytes.subarray(value, at)
    }
    return extensions
  }

  get hash() {
    return this.#hex(88, 32)
  }

  get prevHash() {
    return this.#hex(120, 32)
  }

  get segment() {
    return this.#bytes.readBigUInt64LE(this.#at + 24)
  }

  get offset() {
    return this.#bytes.readBigUInt64LE(this.#at + 32)
  }

  get batchContinues() {
    return this.#bytes[this.#at + 183] !== 0
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

  #hex(offset, length) {
    const start = this.#at + offset
    return this.#bytes.toString('hex', start, start + length)
  }

  /** Where entity, scope, extensions and payload begin, one after the other, and where they end. */
  #places() {
    const [bytes, at] = [this.#bytes, this.#at]
    const entity = bytes.readUInt32LE(at + 168)
    const scope = entity + bytes.readUInt16LE(at + 172)
    const extensions = scope + bytes.readUInt16LE(at + 174)
    const payload = extensions + bytes.readUInt16LE(at + 176)
    return [entity, scope, extensions, payload, payload + bytes.readUInt32LE(at + 164)]
  }
}

const GETTERS = Object.entries(Object.getOwnPropertyDescriptors(Event.prototype))
  .filter(([, { get }]) => get !== undefined)
  .map(([name]) => name)

/** The events of a block. */
function readEvents(block) {
  const bytes = Buffer.from(block)
  const count = Number(bytes.readBigUInt64LE(0))
  const place = (_, index) => new Event(HERE, bytes, HEADER_BYTES + index * FIXED_BYTES)
  return Array.from({ length: count }, place)
}

module.exports = { Event, readEvents }
