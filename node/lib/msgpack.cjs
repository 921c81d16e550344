// MessagePack, as far as payloads need it: the convention for typed payloads that every language
// of batpak shares. It is our own because integers have to survive: those beyond 2^53 are bigints
// and no integer ever becomes a float, so that a payload written here reads as an integer in Rust.
// It also leaves the package without dependencies, which npm would not install for a folder.
'use strict'

const { types } = require('node:util')
const { BatpakError } = require('./errors.cjs')
const { refuse, show } = require('./check.cjs')

// Deeper values are refused, in both directions, so that no payload can exhaust the stack.
const MAX_DEPTH = 64
const MIN_I64 = -0x8000_0000_0000_0000n
const MAX_U64 = 0xffff_ffff_ffff_ffffn

/** The MessagePack form of a value. */
function encode(value) {
  const writer = new Writer()
  writer.value(value, 0)
  return writer.done()
}

class Writer {
  #bytes = Buffer.allocUnsafe(256)
  #used = 0

  done() {
    return this.#bytes.subarray(0, this.#used)
  }

  /** Makes room and gives the place where it starts. */
  #room(length) {
    const start = this.#used
    this.#used += length
    if (this.#used > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#used, this.#bytes.length * 2))
      this.#bytes.copy(larger, 0, 0, start)
      this.#bytes = larger
    }
    return start
  }

  #byte(byte) {
    const at = this.#room(1)
    this.#bytes[at] = byte
  }

  /** The head of something with a length: in the marker itself, or in 8, 16 or 32 bits after it. */
  #head(length, { inline, fits = 0, marker8, marker16, marker32 }) {
    if (length < fits) return this.#byte(inline | length)
    if (length <= 0xff && marker8 !== undefined) {
      const at = this.#room(2)
      this.#bytes[at] = marker8
      this.#bytes[at + 1] = length
    } else if (length <= 0xffff) {
      const at = this.#room(3)
      this.#bytes[at] = marker16
      this.#bytes.writeUInt16BE(length, at + 1)
    } else {
      const at = this.#room(5)
      this.#bytes[at] = marker32
      this.#bytes.writeUInt32BE(length, at + 1)
    }
  }

  value(value, depth) {
    if (depth > MAX_DEPTH) {
      refuse(`the payload is nested deeper than ${MAX_DEPTH} levels, or in a circle`)
    }
    switch (typeof value) {
      case 'boolean':
        return this.#byte(value ? 0xc3 : 0xc2)
      case 'number':
        if (Number.isSafeInteger(value) && !Object.is(value, -0)) return this.#integer(value)
        return this.#float(value)
      case 'bigint':
        return this.#bigint(value)
      case 'string':
        return this.#string(value)
      case 'undefined':
        return this.#byte(0xc0)
      case 'object':
        if (value === null) return this.#byte(0xc0)
        if (types.isUint8Array(value)) return this.#binary(value)
        if (Array.isArray(value)) return this.#array(value, depth)
        if (types.isMap(value)) return this.#map([...value], depth)
        // As JSON does: a Date becomes its ISO string.
        if (typeof value.toJSON === 'function') return this.value(value.toJSON(), depth + 1)
        if (!hidesItsContent(value)) {
          const entries = Object.entries(value).filter(([, item]) => item !== undefined)
          return this.#map(entries, depth)
        }
    }
    refuse(`${show(value)} has no MessagePack form; bytes are given as a Uint8Array`)
  }

  #integer(value) {
    if (value >= 0) {
      if (value <= 0x7f) return this.#byte(value)
      if (value <= 0xffff_ffff) {
        return this.#head(value, { marker8: 0xcc, marker16: 0xcd, marker32: 0xce })
      }
    } else if (value >= -0x8000_0000) {
      if (value >= -0x20) return this.#byte(value & 0xff)
      const [marker, length] = value >= -0x80 ? [0xd0, 1] : value >= -0x8000 ? [0xd1, 2] : [0xd2, 4]
      const at = this.#room(1 + length)
      this.#bytes[at] = marker
      this.#bytes.writeIntBE(value, at + 1, length)
      return
    }
    this.#bigint(BigInt(value))
  }

  #bigint(value) {
    if (value >= -0x8000_0000n && value <= 0xffff_ffffn) return this.#integer(Number(value))
    if (value < MIN_I64 || value > MAX_U64) refuse(`${value} does not fit 64 bits`)
    const at = this.#room(9)
    this.#bytes[at] = value < 0n ? 0xd3 : 0xcf
    this.#bytes.writeBigUInt64BE(BigInt.asUintN(64, value), at + 1)
  }

  #float(value) {
    const at = this.#room(9)
    this.#bytes[at] = 0xcb
    this.#bytes.writeDoubleBE(value, at + 1)
  }

  #string(value) {
    if (!value.isWellFormed()) refuse('a string in the payload holds a lone surrogate')
    const length = Buffer.byteLength(value)
    this.#head(length, { inline: 0xa0, fits: 32, marker8: 0xd9, marker16: 0xda, marker32: 0xdb })
    const at = this.#room(length)
    this.#bytes.write(value, at)
  }

  #binary(value) {
    this.#head(value.length, { marker8: 0xc4, marker16: 0xc5, marker32: 0xc6 })
    const at = this.#room(value.length)
    this.#bytes.set(value, at)
  }

  #array(value, depth) {
    this.#head(value.length, { inline: 0x90, fits: 16, marker16: 0xdc, marker32: 0xdd })
    for (const item of value) this.value(item, depth + 1)
  }

  #map(entries, depth) {
    this.#head(entries.length, { inline: 0x80, fits: 16, marker16: 0xde, marker32: 0xdf })
    for (const [key, item] of entries) {
      this.value(key, depth + 1)
      this.value(item, depth + 1)
    }
  }
}

/** Objects whose content is not in their properties: as a map they would lose it in silence. */
function hidesItsContent(value) {
  return (
    ArrayBuffer.isView(value) ||
    types.isAnyArrayBuffer(value) ||
    types.isSet(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    types.isRegExp(value) ||
    types.isPromise(value) ||
    types.isNativeError(value)
  )
}

/** The value of a MessagePack form. Trailing bytes are an error. */
function decode(bytes) {
  const reader = new Reader(bytes)
  const value = reader.value(0)
  if (reader.left > 0) malformed(`${reader.left} bytes follow the MessagePack value`)
  return value
}

function malformed(why) {
  throw new BatpakError('DECODE', why)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

class Reader {
  #bytes
  #at = 0

  constructor(bytes) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  get left() {
    return this.#bytes.length - this.#at
  }

  /** Passes over so many bytes and gives the place where they start. */
  #take(length) {
    if (length > this.left) malformed('the payload ends inside a MessagePack value')
    const start = this.#at
    this.#at += length
    return start
  }

  #unsigned(length) {
    return this.#bytes.readUIntBE(this.#take(length), length)
  }

  #signed(length) {
    return this.#bytes.readIntBE(this.#take(length), length)
  }

  value(depth) {
    if (depth > MAX_DEPTH) malformed(`the payload is nested deeper than ${MAX_DEPTH} levels`)
    const marker = this.#unsigned(1)
    if (marker <= 0x7f) return marker
    if (marker <= 0x8f) return this.#map(marker & 0x0f, depth)
    if (marker <= 0x9f) return this.#array(marker & 0x0f, depth)
    if (marker <= 0xbf) return this.#string(marker & 0x1f)
    if (marker >= 0xe0) return marker - 0x100
    switch (marker) {
      case 0xc0: return null
      case 0xc2: return false
      case 0xc3: return true
      case 0xc4: return this.#binary(this.#unsigned(1))
      case 0xc5: return this.#binary(this.#unsigned(2))
      case 0xc6: return this.#binary(this.#unsigned(4))
      case 0xca: return this.#bytes.readFloatBE(this.#take(4))
      case 0xcb: return this.#bytes.readDoubleBE(this.#take(8))
      case 0xcc: return this.#unsigned(1)
      case 0xcd: return this.#unsigned(2)
      case 0xce: return this.#unsigned(4)
      case 0xcf: return plain(this.#bytes.readBigUInt64BE(this.#take(8)))
      case 0xd0: return this.#signed(1)
      case 0xd1: return this.#signed(2)
      case 0xd2: return this.#signed(4)
      case 0xd3: return plain(this.#bytes.readBigInt64BE(this.#take(8)))
      case 0xd9: return this.#string(this.#unsigned(1))
      case 0xda: return this.#string(this.#unsigned(2))
      case 0xdb: return this.#string(this.#unsigned(4))
      case 0xdc: return this.#array(this.#unsigned(2), depth)
      case 0xdd: return this.#array(this.#unsigned(4), depth)
      case 0xde: return this.#map(this.#unsigned(2), depth)
      case 0xdf: return this.#map(this.#unsigned(4), depth)
    }
    malformed(`the payload is not MessagePack that this library reads (0x${marker.toString(16)})`)
  }

  #binary(length) {
    const start = this.#take(length)
    return this.#bytes.subarray(start, start + length)
  }

  #string(length) {
    try {
      return utf8.decode(this.#binary(length))
    } catch (error) {
      if (error instanceof BatpakError) throw error
      return malformed('a string in the payload is not UTF-8')
    }
  }

  // The length is only a claim: nothing is allocated before the items are there.
  #array(length, depth) {
    const items = []
    for (let index = 0; index < length; index += 1) items.push(this.value(depth + 1))
    return items
  }

  /** An object when every key is a string, and a Map otherwise. */
  #map(length, depth) {
    const entries = []
    for (let index = 0; index < length; index += 1) {
      entries.push([this.value(depth + 1), this.value(depth + 1)])
    }
    // `fromEntries` defines properties, so that a key `__proto__` is only a key.
    if (entries.every(([key]) => typeof key === 'string')) return Object.fromEntries(entries)
    return new Map(entries)
  }
}

/** A number where it is exact. */
function plain(value) {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

module.exports = { encode, decode }
