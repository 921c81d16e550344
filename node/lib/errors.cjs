// The one error class, and the native errors on their way into it.
'use strict'

const native = require('./native.cjs')

/** Every error kind, in the order of its number: { number, name, retry }. */
const errorKinds = Object.freeze(native.errorKinds().map(Object.freeze))
const kindsByName = new Map(errorKinds.map((kind) => [kind.name, kind]))

class BatpakError extends Error {
  constructor(kind, message, { cause, ...details } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    const { number, retry } = kindsByName.get(kind)
    this.code = `BATPAK_${kind}`
    this.kind = kind
    this.number = number
    this.retry = retry
    for (const [name, value] of Object.entries(details)) {
      if (value !== null && value !== undefined) this[name] = value
    }
  }
}
Object.defineProperty(BatpakError.prototype, 'name', {
  value: 'BatpakError',
  configurable: true,
  writable: true,
})

/** What the native half threw, as a BatpakError. */
function fromNative(error) {
  if (error instanceof BatpakError) return error
  const { code = '', message, path, segment, offset, osCode } = error ?? {}
  const kind = code.replace(/^BATPAK_/, '')
  if (kindsByName.has(kind)) {
    return new BatpakError(kind, message, { path, segment, offset, osCode })
  }
  // The rest comes from the layer between the two halves: an argument that is of no use to it, or
  // a panic that it caught.
  const refused = code === 'InvalidArg' || code.endsWith('Expected')
  return new BatpakError(refused ? 'INVALID_ARGUMENT' : 'PANIC', String(message), { cause: error })
}

/** Calls a native function and lets its errors out as BatpakErrors. */
function callNow(target, method, ...values) {
  try {
    return target[method](...values)
  } catch (error) {
    throw fromNative(error)
  }
}

/** The same for one that gives a Promise. */
async function callLater(target, method, ...values) {
  try {
    return await target[method](...values)
  } catch (error) {
    throw fromNative(error)
  }
}

/** Calls a native method that can do either on the calling thread. */
const now = (target, method, ...values) => callNow(target, method, false, ...values)

/** Calls a native method that can do either on the libuv pool. */
const later = (target, method, ...values) => callLater(target, method, true, ...values)

module.exports = { BatpakError, errorKinds, fromNative, callNow, callLater, now, later }
