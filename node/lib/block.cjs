// A block of bytes from the native half, with what reads numbers from it fastest.
'use strict'

class Block {
  constructor(bytes) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  u16(at) {
    return this.view.getUint16(at, true)
  }

  u32(at) {
    return this.view.getUint32(at, true)
  }

  u64(at) {
    return this.view.getBigUint64(at, true)
  }

  i64(at) {
    return this.view.getBigInt64(at, true)
  }

  hex(at, length) {
    return this.bytes.toString('hex', at, at + length)
  }

  text(start, end) {
    return this.bytes.toString('utf8', start, end)
  }
}

module.exports = { Block }
