// Pools of pg whose server may be stopped before the last connection has ended: a pool's end does not
// wait for them, and what a server says as it stops is an error that nobody else listens to.

import pg from 'pg'

export function pgPool(options) {
  const pool = new pg.Pool(options)
  // Of idle clients.
  pool.on('error', () => {})
  // Of clients that are in use, should a test fail meanwhile.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}
