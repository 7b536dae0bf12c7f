'use strict'
// redis (node-redis): each command, pipeline and transaction is a call of whoever gave it.

const { awaitingConnection, beginIn, endThrown, endingPromise, oncePer, outsideRequests, quietly, recordingContext, setTarget, state, tellingWhyNone } = require('./tools.js')
const { REDIS, countFound, describe, describeMany } = require('./redis_details.js')

const targetOf = oncePer((client) => {
  const socket = client.options?.socket
  return socket?.path ?? `${socket?.host ?? 'localhost'}:${socket?.port ?? 6379}`
})

/** Runs a method that gives a promise; `detail` says what it does. */
function observed(client, detail, run, tell, about) {
  const context = recordingContext()
  if (context === null) return run()
  let index = -1
  try {
    index = beginIn(context, REDIS, detail())
    setTarget(context, index, targetOf(client))
  } catch {
    state.failures++
  }
  let promise
  try {
    promise = run()
  } catch (error) {
    endThrown(context, index, error)
    throw error
  }
  return typeof promise?.then === 'function' ? endingPromise(context, index, promise, tell, about) : promise
}

function hookClient(exports, wraps) {
  const { prototype } = exports.default
  wraps.wrap(prototype, 'sendCommand', (sendCommand) => function (args, ...rest) {
    const [name, ...others] = Array.isArray(args) ? args : [args]
    return observed(this, () => describe(name, others), () => sendCommand.call(this, args, ...rest), countFound, name)
  })
  for (const [method, kind] of [['_executeMulti', 'MULTI'], ['_executePipeline', 'pipeline']]) {
    wraps.wrap(prototype, method, (execute) => function (commands, ...rest) {
      return observed(
        this,
        () => describeMany(kind, commands.map(({ args }) => [args[0], args.slice(1)])),
        () => execute.call(this, commands, ...rest),
      )
    })
  }
  wraps.wrap(prototype, 'connect', connecting)
}

/** Connects; where that fails, it is a call of whoever waited for it. */
function connecting(connect) {
  const outside = outsideRequests(connect)
  return function (...args) {
    const failed = quietly(() => awaitingConnection(REDIS, () => targetOf(this)))
    const promise = outside.apply(this, args)
    return failed !== undefined && typeof promise?.then === 'function' ? tellingWhyNone(failed, promise) : promise
  }
}

module.exports = {
  name: 'redis',
  packages: {
    '@redis/client': { 'dist/lib/client/index.js': hookClient },
  },
}
