'use strict'
// Categories by name: what was done, and whether it may contain other calls.

const { native } = require('./board.js')
const { textOf } = require('./text.js')

/** Beside a category's number: it is a scope. */
const SCOPE = 1 << 16

/** Names to numbers with their kind. The core has at most 1,024 of them; names beyond are not kept. */
const known = new Map()
const MOST_KNOWN = 2048

function intern(name, scope, dialect) {
  const text = name === undefined ? 'undefined' : textOf(name)
  const number = native.category(text, scope, dialect)
  if (known.size < MOST_KNOWN) known.set(text, number)
  return number
}

/** A category that knows its number: the cheapest to begin a span with. */
class Category {
  constructor(name, options = {}) {
    if (typeof name !== 'string') throw new TypeError('category: the name must be a string')
    const { kind = 'leaf', dialect = kind === 'scope' ? 'path' : 'generic' } = options
    if (kind !== 'leaf' && kind !== 'scope') {
      throw new TypeError(`category ${name}: kind ${JSON.stringify(kind)} is not one of "leaf", "scope"`)
    }
    if (!DIALECTS.includes(dialect)) {
      throw new TypeError(`category ${name}: dialect ${JSON.stringify(dialect)} is not one of ${DIALECTS.map((d) => `"${d}"`).join(', ')}`)
    }
    this.name = name
    this.number = intern(name, kind === 'scope', dialect)
  }
}

const DIALECTS = ['generic', 'mysql', 'postgresql', 'sqlite', 'keys', 'path']

let lastName = ''
let lastNumber = -1

/** The number and kind of what names a category: a Category, or a name. */
function numberOf(category, scope) {
  if (category === lastName && lastNumber !== -1) return lastNumber
  if (category instanceof Category) return category.number
  let number = known.get(category)
  if (number === undefined) number = intern(category, scope, scope ? 'path' : 'generic')
  if (typeof category === 'string') {
    lastName = category
    lastNumber = number
  }
  return number
}

module.exports = { Category, numberOf, SCOPE, DIALECTS }
