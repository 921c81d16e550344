// Events on their way in: checked, brought into one form, and written into the block of bytes
// whose layout `src/slab.rs` describes.
'use strict'

const { types } = require('node:util')
const check = require('./check.cjs')
const msgpack = require('./msgpack.cjs')

const FIXED_BYTES = 96
const MAX_BLOCK_BYTES = 0x7fff_ffff
const MIN_I64 = -0x8000_0000_0000_0000n
const MAX_I64 = 0x7fff_ffff_ffff_ffffn
const EMPTY = Buffer.alloc(0)

const FIELDS = new Set([
  'entity', 'scope', 'kind', 'payload', 'expected', 'id', 'correlation', 'causation', 'lane',
  'depth', 'flags', 'payloadVersion', 'timestampUs', 'extensions',
])

/** The event with every field checked, with its default, and with its payload as bytes. */
function newEvent(event) {
  if (event === undefined) check.refuse('event is undefined; it must be an object')
  const {
    entity, scope, kind, payload, expected = 'any', id, correlation, causation,
    lane = 0, depth = 0, flags = 0, payloadVersion = 0, timestampUs, extensions,
  } = check.fields('event', event, FIELDS)
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
    timestampUs: check.optional(timestamp, 'timestampUs', timestampUs),
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

function timestamp(name, value) {
  if (types.isDate(value)) {
    const milliseconds = value.getTime()
    if (Number.isNaN(milliseconds)) check.refuse(`${name} is an invalid Date`)
    return BigInt(milliseconds) * 1000n
  }
  return check.integer(name, value, MIN_I64, MAX_I64)
}

/** The pairs of an object or of anything that gives pairs. */
function extensionPairs(extensions) {
  if (extensions === undefined) return []
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

/** The block of these events, which `newEvent` made. It shares nothing with what callers hold. */
function writeEvents(events) {
  const lengths = events.map(measure)
  const total = lengths.reduce((sum, { bytes }) => sum + bytes, 0)
  if (total > MAX_BLOCK_BYTES) check.refuse(`the events take ${total} bytes`, 'TOO_LARGE')
  const block = Buffer.allocUnsafe(total)
  let at = 0
  events.forEach((event, index) => {
    at = writeEvent(block, at, event, lengths[index])
  })
  return block
}

function measure({ entity, scope, payload, extensions }) {
  const lengths = {
    entity: Buffer.byteLength(entity),
    scope: Buffer.byteLength(scope),
    payload: payload.length,
    extensions: extensions.length,
    bytes: FIXED_BYTES,
  }
  lengths.bytes += lengths.entity + lengths.scope + lengths.payload
  for (const [key, bytes] of extensions) lengths.bytes += 8 + Buffer.byteLength(key) + bytes.length
  return lengths
}

function writeEvent(block, at, event, lengths) {
  const { expected, id, correlation, causation, timestampUs } = event
  block.fill(0, at, at + FIXED_BYTES)
  if (id !== undefined) block.write(id, at, 'hex')
  if (correlation !== undefined) block.write(correlation, at + 16, 'hex')
  if (typeof causation === 'string') block.write(causation, at + 32, 'hex')
  if (timestampUs !== undefined) block.writeBigInt64LE(timestampUs, at + 48)
  if (typeof expected === 'number') block.writeUInt32LE(expected, at + 56)
  if (typeof causation === 'object') block.writeUInt32LE(causation.item, at + 60)
  block.writeUInt32LE(event.lane, at + 64)
  block.writeUInt32LE(event.depth, at + 68)
  block.writeUInt32LE(lengths.payload, at + 72)
  block.writeUInt32LE(lengths.entity, at + 76)
  block.writeUInt32LE(lengths.scope, at + 80)
  block.writeUInt32LE(lengths.extensions, at + 84)
  block.writeUInt16LE(event.kind, at + 88)
  block.writeUInt16LE(event.payloadVersion, at + 90)
  block[at + 92] = event.flags
  block[at + 93] = { any: 0, noStream: 1 }[expected] ?? 2
  block[at + 94] = { undefined: 0, string: 1, object: 2 }[typeof causation]
  block[at + 95] =
    (id === undefined ? 0 : 1) |
    (correlation === undefined ? 0 : 2) |
    (timestampUs === undefined ? 0 : 4)
  at += FIXED_BYTES
  at += block.write(event.entity, at)
  at += block.write(event.scope, at)
  block.set(event.payload, at)
  at += lengths.payload
  for (const [key, bytes] of event.extensions) {
    block.writeUInt32LE(Buffer.byteLength(key), at)
    block.writeUInt32LE(bytes.length, at + 4)
    at += 8
    at += block.write(key, at)
    block.set(bytes, at)
    at += bytes.length
  }
  return at
}

module.exports = { newEvent, writeEvents }
