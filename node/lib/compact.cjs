// A compaction, and the functions of the caller that it asks. They are called on the thread of
// JavaScript, also when the compaction works on the libuv pool: it waits for the answer.
'use strict'

const { compactArguments } = require('./arguments.cjs')
const { Block } = require('./block.cjs')
const check = require('./check.cjs')
const { readEvents } = require('./event.cjs')
const native = require('./native.cjs')

/** The answers that the native half takes; see `src/ask.rs`. */
const NO = 0
const YES = 1
const STOP = 2

let exit

/** The exit of this thread. The first compaction makes it: importing the package listens to nothing. */
function getExit() {
  if (exit === undefined) {
    exit = new native.NativeExit()
    process.once('exit', () => exit.begin())
  }
  return exit
}

class Compaction {
  /** What the native half takes. */
  values
  #signal
  /** What a function of the caller threw, or the signal's reason, in an array of one. */
  #thrown = []

  constructor(options) {
    const { what, keep, progress, signal } = compactArguments(options)
    this.#signal = signal
    this.values = [
      what,
      keep && this.#asked((block) => this.#stays(keep, block)),
      (progress || signal) && this.#asked((block) => this.#tell(progress, block)),
      getExit(),
    ]
    signal?.throwIfAborted()
  }

  /** What to throw for an error of the native half: what ended the compaction, if that is known. */
  causeOf(error) {
    return this.#thrown.length > 0 ? this.#thrown[0] : error
  }

  /** For the native half, which must not be thrown at. */
  #asked(ask) {
    return (bytes) => {
      try {
        return ask(Buffer.from(bytes))
      } catch (thrown) {
        this.#thrown.push(thrown)
        return STOP
      }
    }
  }

  #stays(keep, bytes) {
    const [event] = readEvents(bytes)
    // Nothing, as a forgotten return gives, must not drop events; nor can a Promise be waited for.
    return check.flag('what keep gives back', keep(event)) ? YES : NO
  }

  #tell(progress, bytes) {
    this.#signal?.throwIfAborted()
    progress?.(progressOf(new Block(bytes)))
    this.#signal?.throwIfAborted()
    return YES
  }
}

function progressOf(block) {
  return {
    segmentsDone: block.u64(0),
    segments: block.u64(8),
    bytesRead: block.u64(16),
    bytesWritten: block.u64(24),
  }
}

module.exports = { Compaction }
