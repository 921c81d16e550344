// The follower in Node. README.md says what a follower checks and says.
import { closeSync, openSync, writeSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { Store } from '../../node/lib/index.mjs'

const [directory, hashesPath, totalText] = process.argv.slice(2)
const total = BigInt(totalText)

function say(line) {
  writeSync(1, `${line}\n`)
}

async function openWhenThere() {
  for (let absent = false; ; absent = true) {
    try {
      return await Store.open(directory, { mode: 'readOnly' })
    } catch (error) {
      if (error.kind !== 'NOT_FOUND') throw error
      if (!absent) say('absent')
      await setTimeout(5)
    }
  }
}

function fail(what) {
  throw new Error(what)
}

const store = await openWhenThere()
say('open')
const hashesFile = openSync(hashesPath, 'w', 0o600)
let hashes = []
let [seen, visible] = [0n, 0n]
let [batch, index, size] = [-1, 0, 1]
const clocks = new Map()

function see(event) {
  if (event.sequence !== seen) fail(`${event.sequence} follows ${seen} events`)
  const { entity, payload, clock } = event
  const place = [0, 4, 8].map((at) => payload.readUInt32LE(at))
  const expected = index + 1 < size ? [batch, index + 1, size] : [batch + 1, 0, place[2]]
  ;[batch, index, size] = place
  if (expected.some((number, at) => number !== place[at]) || index >= size) {
    fail(`event ${seen} is out of its batch`)
  }
  if (clock !== (clocks.get(entity) ?? 0)) fail(`event ${seen} has clock ${clock}`)
  clocks.set(entity, clock + 1)
  hashes.push(event.hash)
  seen++
}

for await (const event of store.follow()) {
  if (seen === visible) visible = store.frontierSync().visible
  see(event)
  if (seen === visible) {
    if (index + 1 !== size) fail(`${seen} visible events end inside a batch`)
    writeSync(hashesFile, Buffer.from(hashes.join(''), 'hex'))
    hashes = []
    say(seen)
  }
  if (seen >= total) break
}
closeSync(hashesFile)

process.stdin.resume()
await new Promise((resolve) => process.stdin.on('end', resolve))
await store.refresh()
const { events, root } = await store.head()
say(`end ${events} ${root}`)
