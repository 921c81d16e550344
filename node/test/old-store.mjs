// Makes a store of the batpak crate 0.10 by hand, with what an export never writes: an event that a
// cancelled fence hides, one that its hash does not vouch for, one that is encrypted, and the key
// of one that a compaction has removed.
import fs from 'node:fs'
import path from 'node:path'
import { encodePayload } from 'batpak'
import { crc32 } from './script/words.mjs'

export const SECRET = Buffer.from('secret')
/** The secret under XChaCha20-Poly1305, bound to the names, the kind and the id of its event. */
export const CIPHERTEXT = Buffer.from('eda76c0df5a6e5f85e439aeb0683954e8628cb45c520', 'hex')
export const KEYSCOPE = Buffer.from('\x01e:3')
const KEY = Buffer.from(Array.from({ length: 32 }, (_, n) => n))
const NONCE = KEY.subarray(0, 24)

// Of each event the payload and its hash (BLAKE3); that of the third is of other bytes.
const EVENTS = [
  [Buffer.from('good'), '4ae75b2349db3092a6a3343625a6aa7ba4bb3298491acac202c46847b9ef31c8'],
  [Buffer.from('hidden'), 'c55b38382f0e0bc741c26b1eb76e821f10352fe44b80ed99f8285f9bb174602d'],
  [Buffer.from('changed'), '4ae75b2349db3092a6a3343625a6aa7ba4bb3298491acac202c46847b9ef31c8'],
  [CIPHERTEXT, 'd0a03e039ed077251d58e3ded343c6dd25ca7cdb3db128cb8871722b6577dbd2'],
]

const integers = (bytes) => [...bytes]

function uint32(number) {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(number)
  return bytes
}

function frame([payload, hash], number) {
  const id = Buffer.alloc(16, 0x10 + number)
  const hashed = integers(Buffer.from(hash, 'hex'))
  const header = {
    event_id: id,
    correlation_id: id,
    causation_id: null,
    timestamp_us: 1_700_000_000_000_000 + number,
    position: { wall_ms: 1_700_000_000_000, counter: 0, depth: 0, lane: 0, sequence: 0 },
    payload_size: payload.length,
    event_kind: 0x1000,
    flags: 0,
    content_hash: hashed,
    payload_version: 0,
  }
  if (payload === CIPHERTEXT) {
    header.payload_encryption = { keyscope_id: integers(KEYSCOPE), nonce: integers(NONCE) }
  }
  const chain = { prev_hash: integers(Buffer.alloc(32)), event_hash: hashed }
  const body = encodePayload({
    event: { header, payload: integers(payload), hash_chain: chain },
    entity: `e:${number}`,
    scope: 's',
    receipt_extensions: {},
  })
  return Buffer.concat([uint32(body.length), uint32(crc32(body)), body])
}

function sidecar(magic, version, value) {
  const body = encodePayload(value)
  const prefix = Buffer.alloc(12)
  prefix.write(magic)
  prefix.writeUInt16LE(version, 6)
  prefix.writeUInt32LE(crc32(body), 8)
  return Buffer.concat([prefix, body])
}

/** Writes the store, a new directory. */
export function makeOldStore(directory) {
  fs.mkdirSync(directory)
  const write = (name, bytes) => fs.writeFileSync(path.join(directory, name), bytes)
  const header = encodePayload({
    version: 1,
    flags: 0,
    created_ns: 1_700_000_000_000_000_000n,
    segment_id: 1,
  })
  const parts = [Buffer.from('FBAT'), uint32(header.length), header, ...EVENTS.map(frame)]
  write('000001.fbat', Buffer.concat(parts))
  const hidden = { ranges: [{ start: 1, end: 2 }], lane_ranges: [] }
  write('visibility_ranges.fbv', sidecar('FBATVR', 2, hidden))
  const keys = { granularity: 1, entries: [{ scope: integers(KEYSCOPE), key: integers(KEY) }] }
  write('keyset.fbatk', sidecar('FBATKS', 1, keys))
  const removed = [{ key: Buffer.alloc(16, 0xee), event_evicted: true }]
  write('index.idemp', sidecar('FBATID', 1, removed))
}
