'use strict'
// redis (node-redis): each command, pipeline and transaction is a call of whoever gave it.

const { beginCall, endingPromise, endThrown, outsideRequests, quietly } = require('./tools.js')
const { REDIS, countFound, describe, describeMany } = require('./redis_details.js')

function targetOf(client) {
  const socket = client.options?.socket
  return socket?.path ?? `${socket?.host ?? 'localhost'}:${socket?.port ?? 6379}`
}

function observed(client, detail, run, onResult) {
  const call = quietly(() => beginCall(REDIS, detail())?.target(targetOf(client))) ?? null
  if (call === null) return run()
  let promise
  try {
    promise = run()
  } catch (error) {
    endThrown(call, error)
    throw error
  }
  return typeof promise?.then === 'function' ? endingPromise(call, promise, onResult) : promise
}

function hookClient(exports, wraps) {
  const { prototype } = exports.default
  wraps.wrap(prototype, 'sendCommand', (sendCommand) => function (args, ...rest) {
    const [name, ...others] = Array.isArray(args) ? args : [args]
    return observed(
      this,
      () => describe(name, others),
      () => sendCommand.call(this, args, ...rest),
      (call, reply) => countFound(call, name, reply),
    )
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
  wraps.wrap(prototype, 'connect', outsideRequests)
}

module.exports = {
  name: 'redis',
  packages: {
    '@redis/client': { 'dist/lib/client/index.js': hookClient },
  },
}
