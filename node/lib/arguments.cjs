// Options and queries, checked, as the native half takes them.
'use strict'

const { fileURLToPath } = require('node:url')
const check = require('./check.cjs')

/** The number that stands for the durability of the store. */
const DURABILITY_OF_STORE = 3

const MODES = ['create', 'existing', 'createNew', 'readOnly', 'salvage']
const DURABILITIES = ['durable', 'written', 'buffered']
const DIRECTIONS = ['forward', 'backward']
const LINKS = ['stream', 'causation']

function directory(path) {
  if (path instanceof URL) {
    try {
      return fileURLToPath(path)
    } catch (error) {
      check.refuse(`path is ${path}: ${error.message}`)
    }
  }
  if (check.text('path', path).includes('\0')) check.refuse('path holds a NUL')
  return path
}

const OPEN_FIELDS = new Set([
  'mode', 'segmentBytes', 'maxPayloadBytes', 'durability', 'bufferBytes', 'bufferMs',
  'maxOpenFiles', 'cacheBytes', 'restarts', 'restartWindowMs', 'seed',
])

function openArguments(options) {
  const given = check.fields('options', options, OPEN_FIELDS)
  return {
    mode: check.optional(check.oneOf, 'mode', given.mode, MODES),
    segmentBytes: check.optional(check.u64, 'segmentBytes', given.segmentBytes),
    maxPayloadBytes: check.optional(check.unsigned, 'maxPayloadBytes', given.maxPayloadBytes),
    durability: durability(given.durability),
    bufferBytes: check.optional(check.unsigned, 'bufferBytes', given.bufferBytes),
    bufferMs: check.optional(check.unsigned, 'bufferMs', given.bufferMs),
    maxOpenFiles: check.optional(check.unsigned, 'maxOpenFiles', given.maxOpenFiles),
    cacheBytes: check.optional(check.u64, 'cacheBytes', given.cacheBytes),
    restarts: check.optional(check.unsigned, 'restarts', given.restarts),
    restartWindowMs: check.optional(check.unsigned, 'restartWindowMs', given.restartWindowMs),
    seed: check.optional(check.u64, 'seed', given.seed),
  }
}

function durability(word) {
  return check.optional(check.oneOf, 'durability', word, DURABILITIES)
}

function appendDurability(word) {
  return durability(word) ?? DURABILITY_OF_STORE
}

const REGION_FIELDS = ['entity', 'prefix', 'scope', 'kind', 'category', 'lane', 'clocks']
const QUERY_FIELDS = new Set([...REGION_FIELDS, 'from', 'direction', 'limit'])

function queryArguments(query) {
  const given = check.fields('query', query, QUERY_FIELDS)
  const [firstClock, lastClock] = check.optional(clockRange, 'clocks', given.clocks) ?? []
  return {
    entity: check.optional(check.text, 'entity', given.entity, 'INVALID_COORDINATE'),
    prefix: check.optional(check.text, 'prefix', given.prefix, 'INVALID_COORDINATE'),
    scope: check.optional(check.text, 'scope', given.scope, 'INVALID_COORDINATE'),
    kind: check.optional(check.unsigned, 'kind', given.kind, 0xffff, 'INVALID_KIND'),
    category: check.optional(check.unsigned, 'category', given.category, 0xf, 'INVALID_KIND'),
    lane: check.optional(check.unsigned, 'lane', given.lane),
    firstClock,
    lastClock,
    from: check.optional(check.u64, 'from', given.from),
    backward: check.oneOf('direction', given.direction ?? 'forward', DIRECTIONS) === 1,
    limit: check.optional(check.u64, 'limit', given.limit),
  }
}

function clockRange(name, range) {
  if (!Array.isArray(range) || range.length !== 2) {
    check.refuse(`${name} is ${check.show(range)}; it must be [first, last]`)
  }
  return range.map((clock) => check.unsigned(name, clock))
}

const FOLLOW_FIELDS = new Set([...REGION_FIELDS, 'from', 'signal'])

/** The region as a query, where to begin, and the signal that ends it. */
function followArguments(options) {
  const { from = 0n, signal, ...region } = check.fields('options', options, FOLLOW_FIELDS)
  return {
    query: queryArguments(region),
    from: from === 'end' ? from : check.u64('from', from),
    signal: check.optional(check.abortSignal, 'signal', signal),
  }
}

const IMPORT_FIELDS = new Set([...REGION_FIELDS, 'salvage', 'unvouched', 'decrypt'])

function importArguments(path, options) {
  const given = check.fields('options', options, IMPORT_FIELDS)
  const { salvage = false, unvouched = false, decrypt = false, ...region } = given
  const what = {
    region: queryArguments(region),
    salvage: check.flag('salvage', salvage),
    unvouched: check.flag('unvouched', unvouched),
    decrypt: check.flag('decrypt', decrypt),
  }
  return [directory(path), what]
}

const EXPORT_FIELDS = new Set([...REGION_FIELDS, 'plain', 'segmentBytes'])

function exportArguments(path, options) {
  const given = check.fields('options', options, EXPORT_FIELDS)
  const { plain = false, segmentBytes, ...region } = given
  const what = {
    region: queryArguments(region),
    plain: check.flag('plain', plain),
    segmentBytes: check.optional(check.u64, 'segmentBytes', segmentBytes),
  }
  return [directory(path), what]
}

const REPAIR_FIELDS = new Set(['keepAltered', 'maxLost', 'segmentBytes', 'seed'])

function repairArguments(damaged, destination, options) {
  const given = check.fields('options', options, REPAIR_FIELDS)
  const { keepAltered = false, maxLost, segmentBytes, seed } = given
  const how = {
    keepAltered: check.flag('keepAltered', keepAltered),
    maxLost: check.optional(check.u64, 'maxLost', maxLost),
    segmentBytes: check.optional(check.u64, 'segmentBytes', segmentBytes),
    seed: check.optional(check.u64, 'seed', seed),
  }
  return [directory(damaged), directory(destination), how]
}

const FENCE_FIELDS = new Set(['memoryBytes'])

function fenceArguments(options) {
  const { memoryBytes } = check.fields('options', options, FENCE_FIELDS)
  return { memoryBytes: check.optional(check.u64, 'memoryBytes', memoryBytes) }
}

const STAGED_FIELDS = new Set(['from'])

/** The place in a fence to begin at. */
function stagedArguments(options) {
  const { from = 0n } = check.fields('options', options, STAGED_FIELDS)
  return check.u64('from', from)
}

const COMMIT_FIELDS = new Set(['durability'])

function commitArguments(options) {
  return appendDurability(check.fields('options', options, COMMIT_FIELDS).durability)
}

const COMPACT_FIELDS = new Set(['retention', 'bytesPerSecond', 'progress', 'signal'])

/** What a compaction does, the functions that it asks, and the signal that ends it. */
function compactArguments(options) {
  const given = check.fields('options', options, COMPACT_FIELDS)
  const { rules, keep } = check.optional(retentionArguments, 'retention', given.retention) ?? {}
  const bytesPerSecond = check.u64('bytesPerSecond', given.bytesPerSecond ?? 0n)
  return {
    what: { retention: rules, bytesPerSecond },
    keep,
    progress: check.optional(check.callable, 'progress', given.progress),
    signal: check.optional(check.abortSignal, 'signal', given.signal),
  }
}

const UNWANTED = ['drop', 'tombstone', 'erase']
const KEY_OVERFLOWS = ['warn', 'refuse']
const RETENTION_FIELDS = new Set([
  ...REGION_FIELDS, 'before', 'olderThanUs', 'newestPerEntity', 'keep', 'unwanted', 'keys',
])
const KEY_FIELDS = new Set(['window', 'most', 'overflow'])

function retentionArguments(name, retention) {
  const given = check.fields(name, retention, RETENTION_FIELDS)
  const { before, olderThanUs, newestPerEntity, keep, unwanted = 'drop', keys, ...region } = given
  const { window, most, overflow = 'warn' } = check.fields('keys', keys, KEY_FIELDS)
  const rules = {
    region: queryArguments(region),
    before: check.optional(check.u64, 'before', before),
    olderThanUs: check.optional(check.timestamp, 'olderThanUs', olderThanUs),
    newestPerEntity: check.optional(check.u64, 'newestPerEntity', newestPerEntity),
    unwanted: check.oneOf('unwanted', unwanted, UNWANTED),
    keyWindow: check.optional(check.u64, 'window', window),
    mostKeys: check.optional(check.u64, 'most', most),
    keyOverflow: check.oneOf('overflow', overflow, KEY_OVERFLOWS),
  }
  return { rules, keep: check.optional(check.callable, 'keep', keep) }
}

const SNAPSHOT_FIELDS = new Set(['earlier', 'independent'])

function snapshotArguments(path, options) {
  const given = check.fields('options', options, SNAPSHOT_FIELDS)
  const { earlier, independent = false } = given
  const how = {
    earlier: earlier === undefined ? undefined : directory(earlier),
    independent: check.flag('independent', independent),
  }
  return [directory(path), how]
}

const FORK_FIELDS = new Set(['at', 'independent'])

function forkArguments(path, options) {
  const { at, independent = false } = check.fields('options', options, FORK_FIELDS)
  const how = {
    at: check.optional(check.u64, 'at', at),
    independent: check.flag('independent', independent),
  }
  return [directory(path), how]
}

const PAGE_FIELDS = new Set(['events', 'bytes'])

function pageArguments(sizes) {
  const { events = 1024, bytes = 1 << 20 } = check.fields('sizes', sizes, PAGE_FIELDS)
  return { events: positive('events', events), bytes: positive('bytes', bytes) }
}

/** One event first, for those who want only one; whole pages after that. */
const FIRST_ALONE = Object.freeze({ ...pageArguments(), first: 1 })

function positive(name, value) {
  if (value === 0) check.refuse(`${name} is 0; it must be at least 1`)
  return check.unsigned(name, value)
}

const ANCESTOR_FIELDS = new Set(['via', 'limit'])

function ancestorArguments(id, options) {
  const { via = 'stream', limit = 1000n } = check.fields('options', options, ANCESTOR_FIELDS)
  return [check.id('id', id), check.oneOf('via', via, LINKS), check.u64('limit', limit)]
}

const WAIT_FIELDS = new Set(['signal'])

function waitArguments(events, timeoutMs, options) {
  if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0)) {
    check.refuse(`timeoutMs is ${check.show(timeoutMs)}; it must be a number, at least 0`)
  }
  const { signal } = check.fields('options', options, WAIT_FIELDS)
  return {
    events: check.u64('events', events),
    timeoutMs,
    signal: check.optional(check.abortSignal, 'signal', signal),
  }
}

module.exports = {
  directory,
  openArguments,
  DURABILITY_OF_STORE,
  appendDurability,
  queryArguments,
  followArguments,
  importArguments,
  exportArguments,
  repairArguments,
  fenceArguments,
  stagedArguments,
  commitArguments,
  compactArguments,
  snapshotArguments,
  forkArguments,
  pageArguments,
  FIRST_ALONE,
  ancestorArguments,
  waitArguments,
}
