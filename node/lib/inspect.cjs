// Looking at a directory without opening it.
'use strict'

const args = require('./arguments.cjs')
const { fromNative, later, now } = require('./errors.cjs')
const native = require('./native.cjs')

async function inspect(path) {
  return inspection(await later(native, 'inspect', args.directory(path)))
}

function inspectSync(path) {
  return inspection(now(native, 'inspect', args.directory(path)))
}

/** The native half gives a refusal as an error of its own. */
function inspection({ opening, refusal, ...rest }) {
  return refusal ? { opening, refusal: fromNative(refusal), ...rest } : { opening, ...rest }
}

module.exports = { inspect, inspectSync }
