// Waiting for events without blocking the event loop. All waits on one store share one call on
// the libuv pool, and each such call is short: a wait that sat on a pool thread until its time
// was up would keep that thread from every append, and four of them would stop the process.
'use strict'

const { later } = require('./errors.cjs')

/** The longest that the pool thread is kept, in milliseconds. */
const SLICE_MS = 50

class Watch {
  #native
  #waiters = new Set()
  #running = false
  /** How many events were visible when last looked. */
  #visible = 0n

  constructor(native) {
    this.#native = native
  }

  /** Resolves with the number of visible events, once it is `events` or the time is up. */
  wait({ events, timeoutMs, signal }) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const deadline = performance.now() + timeoutMs
      const end = (settle, value) => {
        this.#waiters.delete(waiter)
        signal?.removeEventListener('abort', abort)
        settle(value)
      }
      const abort = () => end(reject, signal.reason)
      const waiter = {
        deadline,
        isDone: () => this.#visible >= events || performance.now() >= deadline,
        done: () => end(resolve, this.#visible),
        fail: (error) => end(reject, error),
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiters.add(waiter)
      if (!this.#running) this.#run()
    })
  }

  async #run() {
    this.#running = true
    try {
      while (this.#waiters.size > 0) {
        // Any new event ends the call, so that a waiter who comes meanwhile is not kept waiting.
        this.#visible = await later(this.#native, 'wait', this.#visible + 1n, this.#slice())
        for (const waiter of [...this.#waiters]) if (waiter.isDone()) waiter.done()
      }
    } catch (error) {
      for (const waiter of [...this.#waiters]) waiter.fail(error)
    } finally {
      this.#running = false
    }
  }

  #slice() {
    const soonest = Math.min(...[...this.#waiters].map(({ deadline }) => deadline))
    return Math.ceil(Math.min(Math.max(soonest - performance.now(), 0), SLICE_MS))
  }
}

module.exports = { Watch }
