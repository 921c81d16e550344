// Events on their way in: checked, brought into one form, and written into the block of bytes
// whose layout `src/slab.rs` describes.
'use strict'

const { types } = require('node:util')
const { Block } = require('./block.cjs')
const check = require('./check.cjs')
const msgpack = require('./msgpack.cjs')
const { RECEIPT_BYTES } = require('./receipt.cjs')

const FIXED_BYTES = 96
const EXPECTS = { any: 0, noStream: 1 }
const EXPECTS_CLOCK = 2
const [CAUSED_BY_NOTHING, CAUSED_BY_EVENT, CAUSED_BY_ITEM] = [0, 1, 2]
const [HAS_ID, HAS_CORRELATION, HAS_TIMESTAMP] = [1, 2, 4]

const FIRST_BLOCK_BYTES = 1 << 16
/** A larger block is let go after the append that needed it. */
const KEPT_BLOCK_BYTES = 1 << 22
const MAX_BLOCK_BYTES = 0x7fff_ffff
const EMPTY = Buffer.alloc(0)
const NO_EXTENSIONS = Object.freeze([])

/** The value of each lower-case hex digit, by its character code. */
const DIGITS = Uint8Array.from({ length: 0x80 }, (_, code) => parseInt(String.fromCharCode(code), 16))

const FIELDS = new Set([
  'entity', 'scope', 'kind', 'payload', 'expected', 'id', 'correlation', 'causation', 'lane',
  'depth', 'flags', 'payloadVersion', 'timestampUs', 'extensions',
])

/**
 * Refuses what is no object, and fields that events do not have, as `check.fields` does; but each
 * append comes by here, and a switch costs a third of a look into a set.
 */
function checkFields(event) {
  if (event === undefined) check.refuse('event is undefined; it must be an object')
  if (typeof event !== 'object' || event === null || Array.isArray(event)) {
    check.fields('event', event, FIELDS)
  }
  for (const key in event) {
    switch (key) {
      case 'entity':
      case 'scope':
      case 'kind':
      case 'payload':
      case 'expected':
      case 'id':
      case 'correlation':
      case 'causation':
      case 'lane':
      case 'depth':
      case 'flags':
      case 'payloadVersion':
      case 'timestampUs':
      case 'extensions':
        break
      default:
        check.fields('event', event, FIELDS)
    }
  }
}

/** The event with every field checked, with its default, and with its payload as bytes. */
function newEvent(event) {
  checkFields(event)
  const {
    entity, scope, kind, payload, expected = 'any', id, correlation, causation,
    lane = 0, depth = 0, flags = 0, payloadVersion = 0, timestampUs, extensions,
  } = event
  return {
    entity: check.text('entity', entity, 'INVALID_COORDINATE'),
    scope: check.text('scope', scope, 'INVALID_COORDINATE'),
    kind: check.unsigned('kind', kind, 0xffff, 'INVALID_KIND'),
    payload: payloadBytes(payload),
    expected: expected === 'any' || expected === 'noStream' ? expected : clock(expected),
    id: check.optional(check.id, 'id', id),
    correlation: check.optional(check.id, 'correlation', correlation),
    causation: check.optional(cause, 'causation', causation),
    lane: check.unsigned('lane', lane),
    depth: check.unsigned('depth', depth),
    flags: check.unsigned('flags', flags, 0xff),
    payloadVersion: check.unsigned('payloadVersion', payloadVersion, 0xffff),
    timestampUs: check.optional(check.timestamp, 'timestampUs', timestampUs),
    extensions: extensionPairs(extensions),
  }
}

/** Bytes as they are; any other value as MessagePack; nothing as no bytes. */
function payloadBytes(value) {
  if (value === undefined) return EMPTY
  return types.isUint8Array(value) ? value : msgpack.encode(value)
}

function clock(expected) {
  if (typeof expected !== 'number') {
    check.refuse(`expected is ${check.show(expected)}; it must be 'any', 'noStream' or a clock`)
  }
  return check.unsigned('expected', expected)
}

const ITEM = new Set(['item'])

/** The id of an event, or the place of an earlier event in the same batch. */
function cause(name, value) {
  if (typeof value === 'string' || types.isUint8Array(value)) return check.id(name, value)
  return { item: check.unsigned(`${name}.item`, check.fields(name, value, ITEM).item) }
}

/** The pairs of an object or of anything that gives pairs. */
function extensionPairs(extensions) {
  if (extensions === undefined) return NO_EXTENSIONS
  if (typeof extensions !== 'object' || extensions === null) {
    check.refuse(`extensions is ${check.show(extensions)}; it must be an object`)
  }
  const pairs = Symbol.iterator in extensions ? [...extensions] : Object.entries(extensions)
  for (const pair of pairs) {
    if (!Array.isArray(pair)) check.refuse('extensions given one by one must be pairs')
    const [key, bytes] = pair
    check.text('an extension key', key)
    if (!types.isUint8Array(bytes)) {
      check.refuse(`extension \`${key}\` is ${check.show(bytes)}; it must be a Uint8Array`)
    }
  }
  return pairs
}

/** A checked event whose bytes do not change any more. */
function copyBytes(event) {
  const extensions = event.extensions.map(([key, bytes]) => [key, Buffer.from(bytes)])
  return { ...event, payload: Buffer.from(event.payload), extensions }
}

class Outgoing extends Block {
  constructor(length) {
    super(Buffer.allocUnsafeSlow(length))
    /** Where the receipt of a single event comes back. */
    this.receipt = this.bytes.subarray(0, RECEIPT_BYTES)
  }
}

/**
 * The block that events go in through, again and again. Nothing that belongs to a caller runs while
 * it is in use: events are checked, and their values taken, before any is written.
 */
let outgoing = new Outgoing(FIRST_BLOCK_BYTES)

/** The block that `writeEvents` has written to. */
const getOutgoing = () => outgoing

/** Writes these events, which `newEvent` made; gives the number of bytes. */
function writeEvents(events) {
  if (outgoing.bytes.length > KEPT_BLOCK_BYTES) makeRoom(FIRST_BLOCK_BYTES, 0)
  let at = 0
  for (let index = 0; index < events.length; index += 1) at = writeEvent(at, events[index])
  return at
}

/** Writes one event at a place; gives the place behind it. */
function writeEvent(start, event) {
  const { entity, scope, payload, expected, id, correlation, causation, timestampUs } = event
  const texts = start + FIXED_BYTES
  const room = texts + 3 * (entity.length + scope.length) + payload.length
  if (room > outgoing.bytes.length) makeRoom(room, start)
  const { bytes, view } = outgoing
  let present = 0
  if (id !== undefined) {
    present |= HAS_ID
    writeId(outgoing, start, id)
  }
  if (correlation !== undefined) {
    present |= HAS_CORRELATION
    writeId(outgoing, start + 16, correlation)
  }
  if (timestampUs !== undefined) {
    present |= HAS_TIMESTAMP
    view.setBigInt64(start + 48, timestampUs, true)
  }
  let expects = EXPECTS[expected]
  if (expects === undefined) {
    expects = EXPECTS_CLOCK
    view.setUint32(start + 56, expected, true)
  }
  let caused = CAUSED_BY_NOTHING
  if (typeof causation === 'string') {
    caused = CAUSED_BY_EVENT
    writeId(outgoing, start + 32, causation)
  } else if (causation !== undefined) {
    caused = CAUSED_BY_ITEM
    view.setUint32(start + 60, causation.item, true)
  }
  view.setUint32(start + 64, event.lane, true)
  view.setUint32(start + 68, event.depth, true)
  view.setUint32(start + 72, payload.length, true)
  const entityBytes = writeText(bytes, texts, entity)
  view.setUint32(start + 76, entityBytes, true)
  const scopeBytes = writeText(bytes, texts + entityBytes, scope)
  view.setUint32(start + 80, scopeBytes, true)
  view.setUint32(start + 84, event.extensions.length, true)
  view.setUint16(start + 88, event.kind, true)
  view.setUint16(start + 90, event.payloadVersion, true)
  bytes[start + 92] = event.flags
  bytes[start + 93] = expects
  bytes[start + 94] = caused
  bytes[start + 95] = present
  const at = texts + entityBytes + scopeBytes
  bytes.set(payload, at)
  const end = at + payload.length
  return event.extensions.length === 0 ? end : writeExtensions(end, event.extensions)
}

function writeExtensions(at, extensions) {
  for (const [key, value] of extensions) {
    const room = at + 8 + 3 * key.length + value.length
    if (room > outgoing.bytes.length) makeRoom(room, at)
    const { bytes, view } = outgoing
    const keyBytes = writeText(bytes, at + 8, key)
    view.setUint32(at, keyBytes, true)
    view.setUint32(at + 4, value.length, true)
    at += 8 + keyBytes
    bytes.set(value, at)
    at += value.length
  }
  return at
}

/** Writes well-formed text as UTF-8; gives the number of bytes. */
function writeText(bytes, at, text) {
  const { length } = text
  // One call out of JavaScript costs as much as a loop over so many characters.
  if (length > 64) return bytes.write(text, at)
  for (let index = 0; index < length; index += 1) {
    const code = text.charCodeAt(index)
    if (code > 0x7f) return bytes.write(text, at)
    bytes[at + index] = code
  }
  return length
}

/** Writes 32 lower-case hex digits as 16 bytes. */
function writeId({ bytes }, at, id) {
  for (let index = 0; index < 16; index += 1) {
    const [high, low] = [id.charCodeAt(2 * index), id.charCodeAt(2 * index + 1)]
    bytes[at + index] = (DIGITS[high] << 4) | DIGITS[low]
  }
}

/** Has the block hold this many bytes, with the `used` bytes that are written. */
function makeRoom(length, used) {
  if (length > MAX_BLOCK_BYTES) check.refuse(`the events take ${length} bytes`, 'TOO_LARGE')
  let size = FIRST_BLOCK_BYTES
  while (size < length) size *= 2
  const larger = new Outgoing(Math.min(size, MAX_BLOCK_BYTES))
  outgoing.bytes.copy(larger.bytes, 0, 0, used)
  outgoing = larger
}

module.exports = { newEvent, copyBytes, writeEvents, writeId, getOutgoing }
