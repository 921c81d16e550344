import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodePayload, encodePayload } from 'batpak'
import { EVENT, ofKind, openStore } from './scratch.mjs'

const hex = (text) => Buffer.from(text.replaceAll(' ', ''), 'hex')

// Value and bytes, from the MessagePack specification.
const VECTORS = [
  [null, 'c0'],
  [false, 'c2'],
  [true, 'c3'],
  [0, '00'],
  [127, '7f'],
  [128, 'cc 80'],
  [255, 'cc ff'],
  [256, 'cd 0100'],
  [65535, 'cd ffff'],
  [65536, 'ce 00010000'],
  [2 ** 32 - 1, 'ce ffffffff'],
  [2 ** 32, 'cf 0000000100000000'],
  [Number.MAX_SAFE_INTEGER, 'cf 001fffffffffffff'],
  [2n ** 53n, 'cf 0020000000000000'],
  [2n ** 64n - 1n, 'cf ffffffffffffffff'],
  [-1, 'ff'],
  [-32, 'e0'],
  [-33, 'd0 df'],
  [-128, 'd0 80'],
  [-129, 'd1 ff7f'],
  [-32768, 'd1 8000'],
  [-32769, 'd2 ffff7fff'],
  [-(2 ** 31), 'd2 80000000'],
  [-(2 ** 31) - 1, 'd3 ffffffff7fffffff'],
  [Number.MIN_SAFE_INTEGER, 'd3 ffe0000000000001'],
  [-(2n ** 63n), 'd3 8000000000000000'],
  [1.5, 'cb 3ff8000000000000'],
  [-0, 'cb 8000000000000000'],
  [NaN, 'cb 7ff8000000000000'],
  [Infinity, 'cb 7ff0000000000000'],
  [2 ** 53, 'cb 4340000000000000'],
  ['', 'a0'],
  ['a', 'a1 61'],
  ['\ufeffü', 'a5 efbbbf c3bc'],
  ['x'.repeat(31), `bf ${'78'.repeat(31)}`],
  ['x'.repeat(32), `d9 20 ${'78'.repeat(32)}`],
  ['x'.repeat(256), `da 0100 ${'78'.repeat(256)}`],
  ['x'.repeat(65536), `db 00010000 ${'78'.repeat(65536)}`],
  [hex('0102'), 'c4 02 0102'],
  [Buffer.alloc(256, 7), `c5 0100 ${'07'.repeat(256)}`],
  [Buffer.alloc(65536, 7), `c6 00010000 ${'07'.repeat(65536)}`],
  [[], '90'],
  [[1, [2]], '92 01 91 02'],
  [Array(16).fill(0), `dc 0010 ${'00'.repeat(16)}`],
  [Array(65536).fill(0), `dd 00010000 ${'00'.repeat(65536)}`],
  [{}, '80'],
  [{ a: 1, b: { c: null } }, '82 a161 01 a162 81 a163 c0'],
  [new Map([[1, 'a']]), '81 01 a161'],
]

test('the forms are those of the specification', () => {
  for (const [value, bytes] of VECTORS) {
    assert.deepEqual(encodePayload(value), hex(bytes))
    assert.deepEqual(decodePayload(hex(bytes)), value)
  }
})

test('other forms of the same values are read, too', () => {
  const cases = [
    ['ca 3fc00000', 1.5],
    ['cf 0000000000000005', 5],
    ['d3 0000000000000005', 5],
    ['ce 00000005', 5],
    ['d9 01 61', 'a'],
    ['dc 0001 05', [5]],
    ['de 0001 a161 05', { a: 5 }],
    ['df 00000001 a161 05', { a: 5 }],
  ]
  for (const [bytes, value] of cases) assert.deepEqual(decodePayload(hex(bytes)), value)
})

test('sixteen fields and more have a longer head', () => {
  const wide = Object.fromEntries(Array.from({ length: 16 }, (_, number) => [`k${number}`, number]))
  const bytes = encodePayload(wide)
  assert.deepEqual(bytes.subarray(0, 3), hex('de 0010'))
  assert.deepEqual(decodePayload(bytes), wide)
})

test('values that stand for others', () => {
  const round = (value) => decodePayload(encodePayload(value))
  assert.equal(round(new Date(0)), '1970-01-01T00:00:00.000Z')
  assert.deepEqual(round({ a: undefined, b: [undefined] }), { b: [null] })
  assert.deepEqual(round(new Map([['a', 1]])), { a: 1 })
  assert.equal(round(5n), 5)
  assert.deepEqual(round(new Uint8Array([1])), Buffer.from([1]))
  const value = round(JSON.parse('{"__proto__": {"x": 1}}'))
  assert.deepEqual(Object.keys(value), ['__proto__'])
  assert.equal(value.x, undefined)
})

test('values without a form are refused', () => {
  const circle = {}
  circle.circle = circle
  const deep = Array(70).fill().reduce((inner) => [inner], 0)
  const odd = [
    () => {}, Symbol('s'), 2n ** 64n, -(2n ** 63n) - 1n, '\ud800', { '\udfff': 1 }, circle, deep,
    new ArrayBuffer(1), new Uint16Array(1), new DataView(new ArrayBuffer(1)), new Set([1]),
    new WeakMap(), /x/, new Error('e'), Promise.resolve(),
  ]
  for (const value of odd) {
    assert.throws(() => encodePayload(value), ofKind('INVALID_ARGUMENT'))
    assert.throws(() => encodePayload([value]), ofKind('INVALID_ARGUMENT'))
  }
})

test('bytes that are no value are refused', () => {
  const bad = [
    '', 'c1', 'd4 01 00', 'c7 00 05', '91', '81 a1', 'a2 61', 'c4 02 00', 'cf 00', 'ca 00',
    'a2 c328', '00 00', 'dd ffffffff', 'df ffffffff', 'db ffffffff', 'c6 ffffffff',
    '91'.repeat(70) + '00', '91'.repeat(100_000),
  ]
  for (const bytes of bad) assert.throws(() => decodePayload(hex(bytes)), ofKind('DECODE'), bytes)
})

test('a value goes through the store, bytes go as they are', async (t) => {
  const store = openStore(t)
  const value = { item: 'apples', count: 2, cents: 2n ** 60n, tags: ['a', null], raw: hex('ff') }
  const { id } = await store.append({ ...EVENT, payload: value })
  assert.deepEqual((await store.get(id)).value(), value)
  const raw = store.appendSync({ ...EVENT, payload: new Uint8Array([0xc1]) })
  const event = store.getSync(raw.id)
  assert.deepEqual(event.payload, hex('c1'))
  assert.throws(() => event.value(), ofKind('DECODE'))
  const nothing = store.appendSync(EVENT)
  assert.throws(() => store.getSync(nothing.id).value(), ofKind('DECODE'))
  assert.equal(store.getSync(store.appendSync({ ...EVENT, payload: null }).id).value(), null)
  const view = new Uint8Array(hex('00112233').buffer, hex('00').byteOffset, 0)
  assert.equal(store.getSync(store.appendSync({ ...EVENT, payload: view }).id).payload.length, 0)
})
