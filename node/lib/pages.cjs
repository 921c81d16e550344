// The pages of a query, or of what is staged in a fence. Each comes as one block of bytes, however many events it has.
'use strict'

const { callLater, callNow, fromNative, later, now } = require('./errors.cjs')
const { readEvents } = require('./event.cjs')

const FIRST_BLOCK_BYTES = 1 << 14

/** Reads page by page on the libuv pool. */
async function* pages(source, query, { events, bytes, first = events }) {
  const scan = await later(source, 'read', query)
  const next = async (most) => {
    return readEvents(Buffer.from(await callLater(scan, 'nextPage', most, bytes)))
  }
  try {
    let page = await next(first)
    while (page.length > 0) {
      yield page
      page = await next(events)
    }
  } finally {
    callNow(scan, 'close')
  }
}

/** Reads page by page on the calling thread. */
function* pagesSync(source, query, { events, bytes, first = events }) {
  const scan = now(source, 'read', query)
  const block = new PageBlock(callNow(scan, 'pager'))
  try {
    let page = block.next(first, bytes)
    while (page.length > 0) {
      yield page
      page = block.next(events, bytes)
    }
  } finally {
    callNow(scan, 'close')
  }
}

/** The memory for pages: each page gets its own, of about its size, and none is cleared first. */
class PageBlock {
  #pager
  #bytes = Buffer.allocUnsafeSlow(FIRST_BLOCK_BYTES)

  constructor(pager) {
    this.#pager = pager
  }

  next(events, bytes) {
    const length = this.#fill(events, bytes)
    const page = this.#bytes.subarray(0, length)
    if (length > this.#bytes.length / 2) {
      // The next page is likely to be as large.
      this.#bytes = Buffer.allocUnsafeSlow(length + (length >> 4))
      return readEvents(page)
    }
    const copy = Buffer.allocUnsafeSlow(length)
    page.copy(copy)
    return readEvents(copy)
  }

  /** Has the next page written; gives its length. */
  #fill(events, bytes) {
    try {
      const length = this.#pager(this.#bytes, events, bytes)
      if (length <= this.#bytes.length) return length
      // It waits for as much room as it asked for.
      this.#bytes = Buffer.allocUnsafeSlow(length)
      return this.#pager(this.#bytes, events, bytes)
    } catch (error) {
      throw fromNative(error)
    }
  }
}

/** Events one by one, from pages. */
async function* singly(pages) {
  for await (const page of pages) yield* page
}

function* singlySync(pages) {
  for (const page of pages) yield* page
}

module.exports = { pages, pagesSync, singly, singlySync }
