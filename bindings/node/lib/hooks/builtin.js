'use strict'
// Modules of Node that some versions lack.

/** A module that the application has loaded, or that can be had without a warning; else `undefined`. */
function getBuiltin(name) {
  try {
    const [major, minor] = process.versions.node.split('.').map(Number)
    // Before, loading it says that it is experimental.
    const quiet = major > 24 || (major === 24 && minor >= 0)
    return quiet ? process.getBuiltinModule?.(name) : undefined
  } catch {
    return undefined
  }
}

module.exports = { getBuiltin }
