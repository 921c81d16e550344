// Appends that are under way, each a Promise with a number. The native half leaves the results in
// an inbox and wakes the event loop once for all that have gathered; see `src/inbox.rs`.
'use strict'

const { Block } = require('./block.cjs')
const native = require('./native.cjs')
const { RECEIPT_BYTES, readReceipts } = require('./receipt.cjs')

const FAILED = 0xffff_ffff

/** By their numbers; the holes are the numbers that are free. */
const appends = []
const free = []
let inbox

/** This thread's inbox. The first append makes it, so that importing the package starts nothing. */
function getInbox() {
  inbox ??= new native.NativeInbox(drain)
  return inbox
}

/** Has `start` begin an append with a number of its own; the Promise is of the receipts. */
function begin(start) {
  return new Promise((resolve, reject) => {
    const token = free.length > 0 ? free.at(-1) : appends.length
    start(token)
    free.pop()
    appends[token] = { resolve, reject }
    // The process stays until the last one has ended.
    if (appends.length - free.length === 1) inbox.keepAlive(true)
  })
}

function drain() {
  for (let ended = inbox.take(); ended !== null; ended = inbox.take()) settle(ended)
  if (free.length === appends.length) inbox.keepAlive(false)
}

function settle({ block: buffer, errors = [] }) {
  const block = new Block(Buffer.from(buffer))
  const count = Number(block.u64(0))
  let at = 8 + count * 8
  let failures = 0
  for (let index = 0; index < count; index += 1) {
    const token = block.u32(8 + index * 8)
    const receipts = block.u32(12 + index * 8)
    const { resolve, reject } = appends[token]
    appends[token] = undefined
    free.push(token)
    if (receipts === FAILED) {
      reject(errors[failures])
      failures += 1
    } else {
      resolve(readReceipts(block, at, receipts))
      at += receipts * RECEIPT_BYTES
    }
  }
}

module.exports = { begin, getInbox }
