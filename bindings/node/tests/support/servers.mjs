// Real servers for tests, stopped after the file's last one.

import { after } from 'node:test'
import { stopServers } from './programs.mjs'

export * from './programs.mjs'

// Of the whole file: what is registered inside a hook would run with that hook.
after(stopServers)
