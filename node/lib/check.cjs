// Checks of what callers hand in. Each gives the value in the one form that the rest works with,
// or throws a BatpakError that names the argument.
'use strict'

const { inspect, types } = require('node:util')
const { BatpakError } = require('./errors.cjs')

const MAX_U32 = 0xffff_ffff
const MIN_I64 = -0x8000_0000_0000_0000n
const MAX_I64 = 0x7fff_ffff_ffff_ffffn
const MAX_U64 = 0xffff_ffff_ffff_ffffn

function refuse(message, kind = 'INVALID_ARGUMENT') {
  throw new BatpakError(kind, message)
}

function show(value) {
  return inspect(value, { depth: 0, maxStringLength: 40, maxArrayLength: 4, customInspect: false })
}

/** An object with known fields only: a field with a slip in its name would do nothing, unseen. */
function fields(name, value, known) {
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    refuse(`${name} is ${show(value)}; it must be an object`)
  }
  for (const key in value) {
    if (!known.has(key)) refuse(`${name} has no field \`${key}\`; it has ${[...known].join(', ')}`)
  }
  return value
}

/** Text that has a UTF-8 form. A lone half of a surrogate pair would be changed in silence. */
function text(name, value, kind) {
  if (typeof value !== 'string') refuse(`${name} is ${show(value)}; it must be a string`)
  if (!value.isWellFormed()) refuse(`${name} holds a lone surrogate`, kind)
  return value
}

/** An integer from 0 to `max`, as a number. */
function unsigned(name, value, max = MAX_U32, kind = 'INVALID_ARGUMENT') {
  if (typeof value !== 'number') refuse(`${name} is ${show(value)}; it must be a number`)
  if (!Number.isInteger(value) || value < 0 || value > max) {
    refuse(`${name} is ${value}; it must be an integer from 0 to ${max}`, kind)
  }
  return value
}

/** A bigint or a safe integer, as a bigint. */
function integer(name, value, min, max) {
  if (typeof value === 'number' && Number.isSafeInteger(value)) value = BigInt(value)
  if (typeof value !== 'bigint') {
    refuse(`${name} is ${show(value)}; it must be a bigint or a safe integer`)
  }
  if (value < min || value > max) {
    refuse(`${name} is ${value}; it must be from ${min} to ${max}`)
  }
  return value
}

/** A sequence or a count, as a bigint. */
const u64 = (name, value) => integer(name, value, 0n, MAX_U64)

/** Microseconds since 1970, or a Date, as a bigint. */
function timestamp(name, value) {
  if (types.isDate(value)) {
    const milliseconds = value.getTime()
    if (Number.isNaN(milliseconds)) refuse(`${name} is an invalid Date`)
    return BigInt(milliseconds) * 1000n
  }
  return integer(name, value, MIN_I64, MAX_I64)
}

/** The place of a word in a list of words. */
function oneOf(name, value, words) {
  const index = words.indexOf(value)
  if (index < 0) refuse(`${name} is ${show(value)}; it must be one of ${words.join(', ')}`)
  return index
}

/** An id, as 32 lower-case hex digits. */
function id(name, value) {
  if (types.isUint8Array(value) && value.length === 16) {
    return Buffer.from(value.buffer, value.byteOffset, 16).toString('hex')
  }
  if (typeof value !== 'string' || !/^[0-9a-fA-F]{32}$/.test(value)) {
    refuse(`${name} is ${show(value)}; it must be 32 hex digits or 16 bytes`)
  }
  return value.toLowerCase()
}

/** Runs the check unless the value is absent. */
function optional(check, name, value, ...rest) {
  return value === undefined ? undefined : check(name, value, ...rest)
}

/** True or false. */
function flag(name, value) {
  if (typeof value !== 'boolean') refuse(`${name} is ${show(value)}; it must be true or false`)
  return value
}

/** A function. */
function callable(name, value) {
  if (typeof value !== 'function') refuse(`${name} is ${show(value)}; it must be a function`)
  return value
}

/** A signal that can end what it is given to. */
function abortSignal(name, value) {
  if (!(value instanceof AbortSignal)) {
    refuse(`${name} is ${show(value)}; it must be an AbortSignal`)
  }
  return value
}

/** An array, and nothing else that has a length. */
function list(name, value) {
  if (!Array.isArray(value)) refuse(`${name} is ${show(value)}; it must be an array`)
  return value
}

module.exports = {
  MAX_U32, refuse, show, fields, text, unsigned, integer, u64, timestamp, oneOf, id, optional, flag,
  callable, abortSignal, list,
}
