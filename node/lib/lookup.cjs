// Reading one event at once. Such events share blocks of bytes, as those of a page do.
'use strict'

const { Block } = require('./block.cjs')
const { fromNative } = require('./errors.cjs')
const { firstEvent } = require('./event.cjs')

const SHARED_BYTES = 1 << 14
const KEY_BYTES = 16

let shared = new Block(Buffer.allocUnsafeSlow(SHARED_BYTES))
let used = 0

/** The event that `find` finds by the key that `writeKey` writes, if there is one. */
function lookUp(find, writeKey, key) {
  if (used + KEY_BYTES > SHARED_BYTES) renew()
  let end = tryOnce(shared, used, find, writeKey, key)
  if (end > SHARED_BYTES) {
    const room = end - used
    if (room > SHARED_BYTES / 4) return lookUpAlone(room, find, writeKey, key)
    renew()
    end = tryOnce(shared, used, find, writeKey, key)
  }
  const event = firstEvent(shared, used)
  // What comes next begins at a multiple of 8.
  if (event !== undefined) used = (end + 7) & ~7
  return event
}

/** A large event has a block of its own. */
function lookUpAlone(room, find, writeKey, key) {
  const block = new Block(Buffer.allocUnsafeSlow(Math.max(room, KEY_BYTES)))
  tryOnce(block, 0, find, writeKey, key)
  return firstEvent(block, 0)
}

function tryOnce(block, at, find, writeKey, key) {
  writeKey(block, at, key)
  try {
    return find(block.bytes, at)
  } catch (error) {
    throw fromNative(error)
  }
}

function renew() {
  shared = new Block(Buffer.allocUnsafeSlow(SHARED_BYTES))
  used = 0
}

module.exports = { lookUp }
