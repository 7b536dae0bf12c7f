'use strict'
// What a Redis command was, without the values it carries.

const { Category } = require('./tools.js')

const REDIS = new Category('redis', { dialect: 'keys' })
const MOST_KEYS = 50
/** Commands all of whose arguments are keys. */
const ALL_KEYS = new Set(['MGET', 'DEL', 'UNLINK', 'EXISTS', 'TOUCH', 'SINTER', 'SUNION', 'SDIFF', 'PFCOUNT', 'WATCH'])
/** Commands whose arguments are keys and values in turns. */
const PAIRS = new Set(['MSET', 'MSETNX'])
/** Commands whose first argument is no key, and may be a secret or a program. */
const NO_KEY = new Set(['AUTH', 'HELLO', 'EVAL', 'EVAL_RO', 'ACL', 'CONFIG', 'SCRIPT', 'FUNCTION'])
/** Commands whose first argument is their key, and that are given often. */
const ONE_KEY = new Set(['GET', 'SET', 'SETEX', 'INCR', 'DECR', 'INCRBY', 'EXPIRE', 'TTL', 'HGETALL', 'HMGET', 'LPUSH', 'RPUSH', 'LRANGE', 'SADD', 'SMEMBERS', 'SISMEMBER', 'ZADD', 'ZRANGE', 'ZRANGEBYSCORE'])
/** Commands whose answer `null` means that there was nothing. */
const READS = new Set(['GET', 'HGET', 'GETEX', 'GETDEL', 'LINDEX', 'ZSCORE', 'SPOP', 'LPOP', 'RPOP'])

function keysOf(name, args) {
  if (NO_KEY.has(name)) return []
  if (ALL_KEYS.has(name)) return args
  if (PAIRS.has(name)) return args.filter((_, index) => index % 2 === 0)
  return args.slice(0, name === 'HGET' || name === 'HSET' ? 2 : 1)
}

/** `MGET a b c`. */
function describe(name, args) {
  const command = String(name).toUpperCase()
  const [first] = args
  // As most commands are.
  if (typeof first === 'string' && ONE_KEY.has(command)) return `${command} ${first}`
  const keys = keysOf(command, Array.from(args).flat())
  const shown = keys.slice(0, MOST_KEYS).map((key) => (Buffer.isBuffer(key) ? key.toString() : String(key)))
  if (keys.length > MOST_KEYS) shown.push(`… ${keys.length - MOST_KEYS} more`)
  return [command, ...shown].join(' ')
}

/** `3 commands: GET a; SET b; …`. */
function describeMany(kind, commands) {
  const shown = commands.slice(0, MOST_KEYS).map(([name, args]) => describe(name, args))
  if (commands.length > MOST_KEYS) shown.push('…')
  return `${kind} of ${commands.length}: ${shown.join('; ')}`
}

/** What a read found. */
function countFound(recorder, index, reply, name) {
  const command = String(name).toUpperCase()
  if (READS.has(command)) {
    const isFound = reply !== null && reply !== undefined
    recorder.setFound(index, isFound ? 1 : 0, isFound ? 0 : 1)
  } else if (command === 'MGET' && Array.isArray(reply)) {
    const hits = reply.filter((value) => value !== null).length
    recorder.setFound(index, hits, reply.length - hits)
  }
}

module.exports = { REDIS, describe, describeMany, countFound }
