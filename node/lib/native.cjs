// Loads the native half.
'use strict'

const path = require('node:path')

const file = path.join(__dirname, '..', 'native.node')

try {
  module.exports = require(file)
} catch (cause) {
  const directory = path.dirname(file)
  throw new Error(
    `batpak has no native module for this machine at ${file}. It is built when the package is ` +
      `installed; to build it now, run: npm run build --prefix ${directory}`,
    { cause },
  )
}
