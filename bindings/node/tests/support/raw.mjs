// HTTP over bare sockets: what came over the wire, byte for byte.

import { connect } from 'node:net'

/** Sends bytes to a port; gives all that came until the server closed the connection. */
export function exchange(port, bytes) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    const chunks = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', reject)
    socket.on('close', () => resolve(Buffer.concat(chunks)))
    socket.write(bytes)
  })
}

/** One request on a connection of its own. */
export async function request(port, path, { method = 'GET', headers = {}, body = '' } = {}) {
  const lines = [`${method} ${path} HTTP/1.1`, 'Host: shop.example', 'Connection: close']
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`)
  if (body !== '') lines.push(`Content-Length: ${Buffer.byteLength(body)}`)
  const raw = await exchange(port, `${lines.join('\r\n')}\r\n\r\n${body}`)
  return { raw, ...parse(raw) }
}

/** Status, headers (in lower case, the last of a name), and body as text, chunks put together. */
export function parse(raw) {
  const end = raw.indexOf('\r\n\r\n')
  const [first, ...lines] = raw.subarray(0, end).toString('latin1').split('\r\n')
  const headers = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
  }
  let body = raw.subarray(end + 4)
  if (headers['transfer-encoding'] === 'chunked') body = unchunked(body)
  return { status: Number(first.split(' ')[1]), headers, body: body.toString(), bytes: body }
}

function unchunked(body) {
  const parts = []
  let at = 0
  for (;;) {
    const end = body.indexOf('\r\n', at)
    const length = parseInt(body.subarray(at, end).toString(), 16)
    if (!(length > 0)) return Buffer.concat(parts)
    parts.push(body.subarray(end + 2, end + 2 + length))
    at = end + 4 + length
  }
}

/** The bytes of an answer without what differs by the clock or by chance. */
export function timeless(raw) {
  return raw.toString('latin1').replace(/\r\nDate: [^\r]*/gi, '')
}

/** A server of a listener, on a free port, closed after the test. */
export async function serve(t, server) {
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => new Promise((resolve) => {
    server.close(resolve)
    server.closeAllConnections()
  }))
  return server.address().port
}
