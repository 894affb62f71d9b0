// One HTTP/1.1 connection with as little of its own as possible: the load must not cost more than the server.
import { connect } from 'node:net'

/** Opens a connection to `http://127.0.0.1:port`; `send(method, path, headers, body)` waits for the whole answer. */
export async function openConnection(base) {
  const { hostname, port } = new URL(base)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  let waiting
  let state = beginning()
  socket.on('data', (part) => {
    state = take(state, part)
    if (!state.done) return
    const { resolve } = waiting
    const answer = state
    state = beginning()
    resolve(answer)
  })
  const fail = (error) => waiting?.reject(error ?? new Error('the server closed the connection'))
  socket.on('error', fail).on('close', () => fail())
  return {
    send(method, path, headers = {}, body = undefined) {
      const lines = Object.entries({
        Host: `${hostname}:${port}`,
        ...(body === undefined ? {} : { 'Content-Length': body.length }),
        ...headers,
      }).map(([name, value]) => `${name}: ${value}\r\n`)
      state.isHead = method === 'HEAD'
      const answer = new Promise((resolve, reject) => {
        waiting = { resolve, reject }
      })
      socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`)
      if (body !== undefined && body.length > 0) socket.write(body)
      return answer
    },
    close() {
      waiting = undefined
      socket.destroy()
    },
  }
}

function beginning() {
  return { head: '', status: 0, headers: undefined, left: 0, bytes: 0, parts: [], done: false, isHead: false }
}

function take(state, part) {
  let rest = part
  if (state.headers === undefined) {
    const end = part.indexOf('\r\n\r\n')
    // A head comes in one piece nearly always.
    state.head += part.toString('latin1', 0, end < 0 ? part.length : end)
    if (end < 0) return state
    const [first = '', ...lines] = state.head.split('\r\n')
    state.status = Number(first.slice(9, 12))
    state.headers = Object.fromEntries(
      lines.map((line) => [
        line.slice(0, line.indexOf(':')).toLowerCase(),
        line.slice(line.indexOf(':') + 1).trim(),
      ]),
    )
    const chunked = state.headers['transfer-encoding'] !== undefined
    if (chunked && !state.isHead) throw new Error('chunked answers are not read')
    const isEmpty = state.isHead || state.status === 204 || state.status === 304
    state.left = isEmpty ? 0 : Number(state.headers['content-length'] ?? 0)
    rest = part.subarray(end + 4)
  }
  state.left -= rest.length
  state.bytes += rest.length
  // What is small may be an error to show.
  if (state.bytes <= 65_536) state.parts.push(rest)
  state.done = state.left <= 0
  return state
}

/** The body of a small answer. */
export function textOf(answer) {
  return Buffer.concat(answer.parts).toString()
}
