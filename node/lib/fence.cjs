// A fence: events that are staged, and then committed together or cancelled. Staging works in memory,
// or writes to a file without waiting for the disk, and is done before it returns. Committing and
// reading come twice, like the operations of a store.
'use strict'

require('./dispose.cjs')
const args = require('./arguments.cjs')
const check = require('./check.cjs')
const { callNow, fromNative, later, now } = require('./errors.cjs')
const { getOutgoing, newEvent, writeEvents } = require('./new-event.cjs')
const { pages, pagesSync, singly, singlySync } = require('./pages.cjs')

/** Proves to the constructor that it is called from this file. */
const HERE = Symbol('fence.cjs')

class Fence {
  #native
  #stage
  #onCommit

  constructor(key, handle, onCommit) {
    if (key !== HERE) check.refuse('a Fence is begun with beginFence of a Store')
    this.#native = handle
    this.#stage = callNow(handle, 'stager')
    this.#onCommit = onCommit
  }

  append(event) {
    return this.#append([newEvent(event)])
  }

  appendBatch(events) {
    return this.#append(check.list('events', events).map(newEvent))
  }

  #append(checked) {
    try {
      const used = writeEvents(checked)
      return this.#stage(getOutgoing().bytes, used)
    } catch (error) {
      throw fromNative(error)
    }
  }

  get events() {
    return callNow(this.#native, 'events')
  }

  read(options) {
    return singly(pages(this.#native, args.stagedArguments(options), args.FIRST_ALONE))
  }

  readSync(options) {
    return singlySync(pagesSync(this.#native, args.stagedArguments(options), args.FIRST_ALONE))
  }

  pages(options, sizes) {
    return pages(this.#native, args.stagedArguments(options), args.pageArguments(sizes))
  }

  pagesSync(options, sizes) {
    return pagesSync(this.#native, args.stagedArguments(options), args.pageArguments(sizes))
  }

  async commit(options) {
    const committed = await later(this.#native, 'commit', args.commitArguments(options))
    this.#onCommit()
    return committed
  }

  commitSync(options) {
    const committed = now(this.#native, 'commit', args.commitArguments(options))
    this.#onCommit()
    return committed
  }

  cancel() {
    callNow(this.#native, 'cancel')
  }

  /** Cancels it unless it has ended. */
  [Symbol.dispose]() {
    try {
      this.cancel()
    } catch (error) {
      if (error.kind !== 'CLOSED') throw error
    }
  }
}

/** Begins a fence of a native store; `onCommit` is called when its events have become visible. */
function beginFence(store, options, onCommit) {
  return new Fence(HERE, callNow(store, 'beginFence', args.fenceArguments(options)), onCommit)
}

module.exports = { beginFence }
