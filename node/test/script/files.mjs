// The commands that look at a script's files and damage them behind the store's back.
import fs from 'node:fs'
import { escape } from './words.mjs'

/** A place in a file; negative ones count from its end. */
function placeIn(file, place) {
  return (place.startsWith('-') ? fs.statSync(file).size : 0) + Number(place)
}

export const fileCommands = {
  damage(file, offset, hex) {
    const place = placeIn(file, offset)
    const handle = fs.openSync(file, 'r+')
    fs.writeSync(handle, Buffer.from(hex, 'hex'), 0, hex.length / 2, place)
    fs.closeSync(handle)
  },
  cut: (file, length) => fs.truncateSync(file, placeIn(file, length)),
  extend: (file, hex) => fs.appendFileSync(file, Buffer.from(hex, 'hex')),
  remove: (file) => fs.rmSync(file, { recursive: true }),
  copy: (from, to) => fs.cpSync(from, to, { recursive: true }),
  rename: (from, to) => fs.renameSync(from, to),
  mkdir: (directory) => fs.mkdirSync(directory),
  write: (file, hex) => fs.writeFileSync(file, Buffer.from(hex, 'hex')),
  files(directory) {
    const names = fs.readdirSync(directory).filter((file) => !file.endsWith('.tmp'))
    return names.sort().map((file) => `file ${escape(file)}`)
  },
}
