// The package. `src/` holds its native half.
'use strict'

const { BatpakError, callNow, errorKinds } = require('./errors.cjs')
const check = require('./check.cjs')
const { Event } = require('./event.cjs')
const { inspect, inspectSync } = require('./inspect.cjs')
const { EventKind } = require('./kind.cjs')
const { encode, decode } = require('./msgpack.cjs')
const native = require('./native.cjs')
const { repair, repairSync } = require('./repair.cjs')
const { Store } = require('./store.cjs')
const { types } = require('node:util')

/** The idempotency key of an operation. */
function operationId(domain, ...components) {
  const bytes = components.map((component) =>
    types.isUint8Array(component) ? component : Buffer.from(check.text('a component', component)),
  )
  return callNow(native, 'operationId', check.text('domain', domain), bytes)
}

/** The MessagePack form of a value, as payloads have it. */
function encodePayload(value) {
  return encode(value)
}

/** The value of a MessagePack form. */
function decodePayload(bytes) {
  if (!types.isUint8Array(bytes)) {
    check.refuse(`bytes is ${check.show(bytes)}; it must be a Uint8Array`)
  }
  return decode(bytes)
}

module.exports = {
  Store,
  Event,
  EventKind,
  BatpakError,
  errorKinds,
  inspect,
  inspectSync,
  repair,
  repairSync,
  operationId,
  encodePayload,
  decodePayload,
}
