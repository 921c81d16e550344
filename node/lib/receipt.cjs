// Receipts, from the block of bytes whose layout `src/slab.rs` describes.
'use strict'

const BYTES = 88

/** The receipts of a block. */
function readReceipts(block) {
  const bytes = Buffer.from(block)
  const length = bytes.length / BYTES
  return Array.from({ length }, (_, index) => readReceipt(bytes, index * BYTES))
}

function readReceipt(bytes, at) {
  return {
    id: bytes.toString('hex', at + 24, at + 40),
    sequence: bytes.readBigUInt64LE(at),
    clock: bytes.readUInt32LE(at + 72),
    lane: bytes.readUInt32LE(at + 76),
    timestampUs: bytes.readBigInt64LE(at + 8),
    wallUs: bytes.readBigInt64LE(at + 16),
    hash: bytes.toString('hex', at + 40, at + 72),
    duplicate: bytes[at + 80] !== 0,
  }
}

module.exports = { readReceipts }
