// Event kinds: four bits of category, twelve bits of type.
'use strict'

const { refuse, unsigned } = require('./check.cjs')

const EventKind = Object.freeze({
  /** A general-purpose kind for data without a vocabulary of its own. */
  DATA: 0x1000,
  /** A gate's refusal, recorded by the library. */
  DENIAL: 0x000f,
  /** What a compaction made a tombstone of. */
  TOMBSTONE: 0x0ffe,

  /** The kind of this category and type, if it is free for users. */
  of(category, type) {
    unsigned('category', category, 0xf, 'INVALID_KIND')
    unsigned('type', type, 0xfff, 'INVALID_KIND')
    if (category === 0x0 || category === 0xd) {
      refuse(`category ${category} is reserved; use one other than 0x0 and 0xD`, 'INVALID_KIND')
    }
    return (category << 12) | type
  },

  category: (kind) => unsigned('kind', kind, 0xffff, 'INVALID_KIND') >> 12,
  type: (kind) => unsigned('kind', kind, 0xffff, 'INVALID_KIND') & 0xfff,
})

module.exports = { EventKind }
