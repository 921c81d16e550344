// Waiting for events without blocking the event loop, nor a thread of the libuv pool: four threads
// that sat there until their time was up would keep every append of the process from being done.
// So a wait is a series of short looks. A store that is written here tells of its own appends; for
// what another process writes, the looks come every few milliseconds.
'use strict'

const FIRST_PAUSE_MS = 1
const LONGEST_PAUSE_MS = 16

class Watch {
  #look
  #waiters = new Set()
  #running = false
  /** Events were appended, or a waiter left, since the last look. */
  #poked = false
  #wake = () => {}

  /** `look` gives a Promise of the number of visible events. */
  constructor(look) {
    this.#look = look
  }

  /** Has the waiters look at once. */
  poke() {
    this.#poked = true
    this.#wake()
  }

  /** Resolves with the number of visible events, once it is `events` or the time is up. */
  wait({ events, timeoutMs, signal }) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const deadline = performance.now() + timeoutMs
      const settle = (how, value) => {
        this.#waiters.delete(waiter)
        signal?.removeEventListener('abort', abort)
        how(value)
      }
      const abort = () => {
        settle(reject, signal.reason)
        this.poke()
      }
      const waiter = {
        deadline,
        see(visible) {
          if (visible >= events || performance.now() >= deadline) settle(resolve, visible)
        },
        fail: (error) => settle(reject, error),
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiters.add(waiter)
      if (this.#running) this.poke()
      else this.#run()
    })
  }

  async #run() {
    this.#running = true
    let pause = FIRST_PAUSE_MS
    let known = 0n
    try {
      while (this.#waiters.size > 0) {
        this.#poked = false
        const visible = await this.#look()
        for (const waiter of [...this.#waiters]) waiter.see(visible)
        pause = visible > known ? FIRST_PAUSE_MS : Math.min(pause * 2, LONGEST_PAUSE_MS)
        known = visible
        if (this.#waiters.size > 0) await this.#sleep(pause)
      }
    } catch (error) {
      for (const waiter of [...this.#waiters]) waiter.fail(error)
    } finally {
      this.#running = false
    }
  }

  async #sleep(pause) {
    if (this.#poked) return
    const deadlines = [...this.#waiters].map(({ deadline }) => deadline)
    const remaining = Math.min(...deadlines) - performance.now()
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.min(pause, Math.max(remaining, 0)))
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

module.exports = { Watch }
