'use strict'
function names() { return [] }
module.exports = { names }
