// Copying what is left of a damaged store.
'use strict'

const args = require('./arguments.cjs')
const { later, now } = require('./errors.cjs')
const native = require('./native.cjs')

async function repair(damaged, destination, options) {
  return later(native, 'repair', ...args.repairArguments(damaged, destination, options))
}

function repairSync(damaged, destination, options) {
  return now(native, 'repair', ...args.repairArguments(damaged, destination, options))
}

module.exports = { repair, repairSync }
