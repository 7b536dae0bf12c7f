'use strict'
// ioredis: each command is a call of whoever gave it.
//
// A command may be sent much later, from the offline queue or an automatic pipeline, in anybody's
// context. So its call begins where the application gives it, is kept with it, and ends when it is
// answered.

const { REDIS, countFound, describe, describeMany } = require('./redis_details.js')
const { beginIn, endThrown, endWith, outsideRequests, recordingContext, setTarget, state } = require('./tools.js')

const kSeen = Symbol('ioprofiler.seen')
/** Only an automatic pipeline has it: what is to be called when its commands are answered. */
const kCallbacks = 'callbacks'

/** What a command or a pipeline is answered by ends its call. */
function endByAnswer(asked, context, index, tell, about) {
  const { resolve, reject } = asked
  asked.resolve = function (reply) {
    endWith(context, index, null, tell, reply, about)
    return resolve.call(this, reply)
  }
  asked.reject = function (error) {
    endThrown(context, index, error)
    return reject.call(this, error)
  }
}

/** Begins a command's call, the first time it is seen. */
function watch(command, client) {
  if (command[kSeen] !== undefined) return
  try {
    command[kSeen] = true
    const context = recordingContext()
    if (context === null) return
    const index = beginIn(context, REDIS, describe(command.name, command.args))
    const { host, port, path } = client?.options ?? {}
    if (path || host) setTarget(context, index, path ?? `${host}:${port}`)
    endByAnswer(command, context, index, countFound, command.name)
  } catch {
    state.failures++
  }
}

function isAutomatic(pipeline) {
  return Object.getOwnPropertySymbols(pipeline).some((symbol) => symbol.description === kCallbacks)
}

function hookRedis(exports, wraps) {
  const Redis = exports.default ?? exports
  wraps.wrap(Redis.prototype, 'sendCommand', (sendCommand) => function (command, stream, ...rest) {
    // With a stream it is part of a pipeline, which is one call.
    if (stream === undefined) watch(command, this)
    return sendCommand.call(this, command, stream, ...rest)
  })
  wraps.wrap(Redis.prototype, 'connect', outsideRequests)
}

function hookPipeline(exports, wraps) {
  const Pipeline = exports.default ?? exports
  wraps.wrap(Pipeline.prototype, 'sendCommand', (sendCommand) => function (command, ...rest) {
    if (isAutomatic(this)) watch(command, this.redis)
    return sendCommand.call(this, command, ...rest)
  })
  wraps.wrap(Pipeline.prototype, 'exec', (exec) => function (...args) {
    watchPipeline(this)
    return exec.apply(this, args)
  })
}

function watchPipeline(pipeline) {
  if (pipeline[kSeen] || isAutomatic(pipeline) || pipeline._queue.length === 0) return
  try {
    pipeline[kSeen] = true
    const context = recordingContext()
    if (context === null) return
    const isTransaction = pipeline._queue[0].name === 'multi'
    const commands = pipeline._queue.filter(({ name }) => name !== 'multi' && name !== 'exec')
    const index = beginIn(context, REDIS, describeMany(isTransaction ? 'MULTI' : 'pipeline', commands.map(({ name, args }) => [name, args])))
    endByAnswer(pipeline, context, index)
  } catch {
    state.failures++
  }
}

module.exports = {
  name: 'ioredis',
  packages: {
    ioredis: { 'built/Redis.js': hookRedis, 'built/cluster/index.js': hookRedis, 'built/Pipeline.js': hookPipeline },
  },
}
