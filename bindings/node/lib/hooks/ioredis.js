'use strict'
// ioredis: each command is a call of whoever gave it.
//
// A command may be sent much later, from the offline queue or an automatic pipeline, in anybody's
// context. So its call begins where the application gives it, is kept with it, and ends when it is
// answered.

const { Span, beginCall, outcomeOf, outsideRequests, quietly, OK } = require('./tools.js')
const { REDIS, countFound, describe, describeMany } = require('./redis_details.js')

const kSeen = Symbol('ioprofiler.seen')
/** Only an automatic pipeline has it: what is to be called when its commands are answered. */
const kCallbacks = 'callbacks'

/** Begins a command's call, the first time it is seen, and ends it with the command. */
function watch(command, client) {
  if (command[kSeen] !== undefined) return
  command[kSeen] = true
  const call = beginCall(REDIS, describe(command.name, command.args))
  if (call === null) return
  const { host, port, path } = client?.options ?? {}
  call.target(path ?? `${host}:${port}`)
  const { resolve, reject } = command
  command.resolve = function (reply) {
    quietly(() => {
      countFound(call, command.name, reply)
      Span.endWith(call, OK)
    })
    return resolve.call(this, reply)
  }
  command.reject = function (error) {
    quietly(() => Span.endWith(call, outcomeOf(error)))
    return reject.call(this, error)
  }
}

function isAutomatic(pipeline) {
  return Object.getOwnPropertySymbols(pipeline).some((symbol) => symbol.description === kCallbacks)
}

function hookRedis(exports, wraps) {
  const Redis = exports.default ?? exports
  wraps.wrap(Redis.prototype, 'sendCommand', (sendCommand) => function (command, stream, ...rest) {
    // With a stream it is part of a pipeline, which is one call.
    if (stream === undefined) quietly(() => watch(command, this))
    return sendCommand.call(this, command, stream, ...rest)
  })
  wraps.wrap(Redis.prototype, 'connect', outsideRequests)
}

function hookPipeline(exports, wraps) {
  const Pipeline = exports.default ?? exports
  wraps.wrap(Pipeline.prototype, 'sendCommand', (sendCommand) => function (command, ...rest) {
    quietly(() => {
      if (isAutomatic(this)) watch(command, this.redis)
    })
    return sendCommand.call(this, command, ...rest)
  })
  wraps.wrap(Pipeline.prototype, 'exec', (exec) => function (...args) {
    quietly(() => watchPipeline(this))
    return exec.apply(this, args)
  })
}

function watchPipeline(pipeline) {
  if (pipeline[kSeen] || isAutomatic(pipeline) || pipeline._queue.length === 0) return
  pipeline[kSeen] = true
  const isTransaction = pipeline._queue[0].name === 'multi'
  const commands = pipeline._queue.filter(({ name }) => name !== 'multi' && name !== 'exec')
  const call = beginCall(REDIS, describeMany(isTransaction ? 'MULTI' : 'pipeline', commands.map(({ name, args }) => [name, args])))
  if (call === null) return
  const { resolve, reject } = pipeline
  pipeline.resolve = function (replies) {
    quietly(() => Span.endWith(call, OK))
    return resolve.call(this, replies)
  }
  pipeline.reject = function (error) {
    quietly(() => Span.endWith(call, outcomeOf(error)))
    return reject.call(this, error)
  }
}

module.exports = {
  name: 'ioredis',
  packages: {
    ioredis: { 'built/Redis.js': hookRedis, 'built/Pipeline.js': hookPipeline },
  },
}
