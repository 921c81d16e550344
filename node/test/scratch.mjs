// What the tests share: a directory that goes away with its test, and a store in it.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { EventKind, Store } from 'batpak'

/** An event with nothing but what every event has. */
export const EVENT = Object.freeze({ entity: 'a', scope: 's', kind: EventKind.DATA })

/** A fresh directory, removed after the test. */
export function scratch(t) {
  const directory = makeDirectory()
  t.after(() => removeDirectory(directory))
  return directory
}

/** An open store in a directory of its own, closed and removed after the test. */
export function openStore(t, options) {
  const directory = makeDirectory()
  const store = Store.openSync(path.join(directory, 'store'), { seed: 1, ...options })
  // In one hook: hooks run in the order in which they were given.
  t.after(() => {
    store.closeSync()
    removeDirectory(directory)
  })
  return store
}

const makeDirectory = () => fs.mkdtempSync(path.join(os.tmpdir(), 'batpak-test-'))
const removeDirectory = (directory) => fs.rmSync(directory, { recursive: true, force: true })

/** Appends so many events of the entity, each with its number as its payload. */
export function fill(store, count, entity = 'counter:1') {
  const event = (_, number) => ({ ...EVENT, entity, payload: number })
  return store.appendBatchSync(Array.from({ length: count }, event))
}

/** What an async iterable gives, as an array. */
export async function collect(iterable) {
  const items = []
  for await (const item of iterable) items.push(item)
  return items
}

/** For assert.throws and assert.rejects: an error of this kind. */
export function ofKind(kind) {
  return { name: 'BatpakError', code: `BATPAK_${kind}`, kind }
}

/** Runs lines of a module in a process of its own, which must end by itself. */
export function runProcess(directory, lines) {
  const source = `
    import { Store } from ${JSON.stringify(import.meta.resolve('batpak'))}
    const EVENT = ${JSON.stringify(EVENT)}
    const store = Store.openSync(${JSON.stringify(directory)})
    ${lines}`
  const cwd = fileURLToPath(new URL('.', import.meta.url))
  const options = { encoding: 'utf8', timeout: 60_000, cwd }
  const { status, stdout, stderr } = spawnSync(
    process.execPath, ['--input-type=module', '--eval', source], options,
  )
  assert.equal(stderr, '')
  assert.equal(status, 0)
  return stdout
}
