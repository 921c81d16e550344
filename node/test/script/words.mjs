// The words of the script language: what lines mean, and how results are printed.
import { BatpakError } from 'batpak'

/** Words that stand alone, in order, and the `key=value` options, with variables replaced. */
export function words(line, variables) {
  const plain = []
  const options = {}
  for (const word of line.split(' ')) {
    const [, key, value] = /^(?:([^=]*)=)?(.*)$/s.exec(word)
    const meant = value.startsWith('$') ? variables[value.slice(1)] : value
    if (meant === undefined) throw new Error(`${value} is not defined`)
    if (key === undefined) plain.push(meant)
    else (options[key] ??= []).push(meant)
  }
  const [all, option] = [(key) => options[key] ?? [], (key) => options[key]?.[0]]
  return { plain, keys: Object.keys(options), all, option }
}

/** The value converted, unless it is absent. */
export const when = (value, convert) => (value === undefined ? undefined : convert(value))

const LETTERS = { s: ' ', n: '\n', '\\': '\\', 0: '\0', e: '' }

function unescape(word) {
  const parts = word.split(/(\\x[0-9a-fA-F]{2}|\\[sn\\0e])/).map((part) => {
    if (!part.startsWith('\\')) return Buffer.from(part)
    return part[1] === 'x' ? Buffer.from(part.slice(2), 'hex') : Buffer.from(LETTERS[part[1]])
  })
  return Buffer.concat(parts)
}

/** An entity, a scope or another text. */
export function name(word) {
  const repeated = /^repeat:(\d+):(.)$/su.exec(word)
  if (repeated) return repeated[2].repeat(Number(repeated[1]))
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(unescape(word))
}

export function payload(word) {
  if (word === '-') return Buffer.alloc(0)
  const [, form, rest] = /^(hex|text|zeros):(.*)$/s.exec(word)
  if (form === 'hex') return Buffer.from(rest, 'hex')
  return form === 'text' ? unescape(rest) : Buffer.alloc(Number(rest))
}

const MODES = { create_new: 'createNew', read_only: 'readOnly' }

export function openOptions({ option }) {
  return {
    mode: when(option('mode'), (mode) => MODES[mode] ?? mode),
    seed: option('seed') === 'none' ? undefined : BigInt(option('seed') ?? 1),
    segmentBytes: when(option('segment'), BigInt),
    maxPayloadBytes: when(option('max_payload'), Number),
    durability: option('durability'),
    restarts: when(option('restarts'), Number),
    restartWindowMs: when(option('restart_window'), Number),
  }
}

export function newEvent({ plain: [, entity, scope, kind, bytes], option, all }) {
  const expect = option('expect') ?? 'any'
  const cause = (text) => (text.startsWith('#') ? { item: Number(text.slice(1)) } : text)
  return {
    entity: name(entity),
    scope: name(scope),
    kind: Number(kind),
    payload: payload(bytes),
    expected: { any: 'any', none: 'noStream' }[expect] ?? Number(expect),
    id: option('id'),
    correlation: option('corr'),
    causation: when(option('cause'), cause),
    lane: Number(option('lane') ?? 0),
    depth: Number(option('depth') ?? 0),
    flags: Number(option('flags') ?? 0),
    payloadVersion: Number(option('version') ?? 0),
    timestampUs: when(option('time'), BigInt),
    extensions: all('ext').map(extension),
  }
}

function extension(text) {
  const [, key, value] = /^(.*?):(.*)$/s.exec(text)
  return [name(key), value.startsWith('zeros:') ? payload(value) : Buffer.from(value, 'hex')]
}

/** What a filter's words say of events, wherever they are. */
export function region({ option }) {
  return {
    entity: when(option('entity'), name),
    prefix: when(option('prefix'), name),
    scope: when(option('scope'), name),
    kind: when(option('kind'), Number),
    category: when(option('category'), Number),
    lane: when(option('lane'), Number),
    clocks: when(option('clocks'), (range) => range.split('-').map(Number)),
  }
}

export function query(command) {
  const { option } = command
  return {
    ...region(command),
    from: when(option('from'), BigInt),
    direction: option('direction'),
    limit: when(option('limit'), BigInt),
  }
}

export function escape(text) {
  if (text === '') return '\\e'
  const escapes = { '\\': '\\\\', ' ': '\\s', '\n': '\\n', '\0': '\\0' }
  return text.replace(/[\\ \n\0]/g, (character) => escapes[character])
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit += 1) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1
  return byte
})

function crc32(bytes) {
  let crc = 0xffff_ffff
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8)
  return ((crc ^ 0xffff_ffff) >>> 0).toString(16).padStart(8, '0')
}

export function payloadText(bytes) {
  if (bytes.length === 0) return '-'
  if (bytes.length <= 64) return `hex:${bytes.toString('hex')}`
  return `bytes:${bytes.length}:${crc32(bytes)}`
}

const kindText = (kind) => `0x${kind.toString(16).padStart(4, '0')}`

export function eventLine(e) {
  const pair = ([key, bytes]) => `${key}:${bytes.toString('hex')}`
  const pairs = Object.entries(e.extensions).map(pair)
  return (
    `event seq=${e.sequence} id=${e.id} entity=${escape(e.entity)} scope=${escape(e.scope)} ` +
    `kind=${kindText(e.kind)} clock=${e.clock} lane=${e.lane} depth=${e.depth} flags=${e.flags} ` +
    `version=${e.payloadVersion} time=${e.timestampUs} wall=${e.wallUs} corr=${e.correlation} ` +
    `cause=${e.causation ?? '-'} prev=${e.prevHash} hash=${e.hash} ` +
    `ext=${pairs.join(',') || '-'} payload=${e.erased ? 'erased' : payloadText(e.payload)}`
  )
}

export function shortLine(e) {
  const names = `${escape(e.entity)} ${escape(e.scope)} ${kindText(e.kind)}`
  return `${e.sequence} ${names} clock=${e.clock} lane=${e.lane} payload=${payloadText(e.payload)}`
}

export function receiptLine({ sequence, clock, id, hash, duplicate }) {
  return `ok seq=${sequence} clock=${clock} id=${id} hash=${hash}${duplicate ? ' duplicate' : ''}`
}

export const isYes = (word) => word === 'yes'

const yesOrNo = (said) => (said ? 'yes' : 'no')

export function reportWords(report) {
  const { events, segments, cutBytes, removed, ignored, damage, format, hidden } = report
  return (
    `created=${yesOrNo(report.created)} clean=${yesOrNo(report.clean)} events=${events} ` +
    `segments=${segments} cut=${cutBytes} removed=${removed.length} ` +
    `ignored=${ignored.length} damage=${damage.length} format=${format} hidden=${hidden}`
  )
}

export function dropLine({ segment, offset, sequence = '-', isEvent }) {
  return `drop segment=${segment} offset=${offset} seq=${sequence} event=${yesOrNo(isEvent)}`
}

export function repairLines(r) {
  const counts =
    `ok source=${r.source} store=${r.storeId} kept=${r.kept} appended=${r.appended} ` +
    `dropped=${r.dropped} lost=${r.lost} intact=${yesOrNo(r.verify.intact)}`
  const lost = r.lostEvents.map((run) => `lost first=${run.firstSequence} events=${run.events}`)
  const left = r.leftOut.map(
    ({ segment, offset, bytes, firstSequence, events }) =>
      `left segment=${segment} offset=${offset} bytes=${bytes} first=${firstSequence} events=${events}`,
  )
  return [counts, ...lost, ...left]
}

/** What a verification found that found no damage. */
export function intactLine({ events, root, dropped, tombstones, erased }) {
  const removed =
    dropped + tombstones > 0n ? ` dropped=${dropped} tombstones=${tombstones} erased=${erased}` : ''
  return `ok events=${events} root=${root}${removed}`
}

/** What a verification found damaged, each in a line. */
export function damaged({ events, findings }) {
  const places = findings.map((f) => `${f.kind} segment=${f.segment} offset=${f.offset}`)
  return [`damaged events=${events}`, ...places]
}

/** What a `retain` asks for. What the predicate throws is the error that the script names. */
function retention(command) {
  const { option } = command
  const [every, fails] = [when(option('keep_every'), BigInt), when(option('keep_fails'), BigInt)]
  const keep = ({ sequence }) => {
    if (sequence === fails) throw new BatpakError('CALLBACK', 'the predicate failed')
    return every === undefined || sequence % every === 0n
  }
  return {
    ...region(command),
    before: when(option('before'), BigInt),
    olderThanUs: when(option('older_than'), BigInt),
    newestPerEntity: when(option('newest'), BigInt),
    keep: (every ?? fails) === undefined ? undefined : keep,
    unwanted: option('unwanted'),
    keys: {
      window: when(option('window'), BigInt),
      most: when(option('most'), BigInt),
      overflow: option('overflow'),
    },
  }
}

export function compactOptions(command) {
  const { option, plain } = command
  const cancelAt = Number(option('cancel'))
  let calls = 0
  return {
    retention: plain[0] === 'retain' ? retention(command) : undefined,
    bytesPerSecond: when(option('rate'), BigInt),
    progress: () => {
      calls += 1
      if (calls === cancelAt) throw new BatpakError('CALLBACK', 'cancelled')
    },
  }
}

export function compactLine(r) {
  return (
    `ok dropped=${r.eventsDropped} tombstones=${r.tombstones} keys=${r.keysKept} ` +
    `over=${r.keysOver} segments=${r.segmentsAfter}/${r.segmentsBefore} ` +
    `bytes=${r.bytesAfter}/${r.bytesBefore} replaced=${r.segmentsReplaced} ` +
    `written=${r.segmentsWritten}`
  )
}

export function copyLine({ events, root, segments, linked, copied, bytesCopied }) {
  const counts = `segments=${segments} linked=${linked} copied=${copied}`
  return `ok events=${events} root=${root} ${counts} bytes=${bytesCopied}`
}

export const diffWords = ({ common, ours, theirs }) =>
  `common=${common} ours=${ours} theirs=${theirs}`
