import { generateKeyPairSync, randomBytes, verify } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { framed, maxMessageBytes, readMessages } from './frames.ts'
import { loadAgent } from './load-agent.ts'
import {
  failureAnswer,
  identitiesAnswer,
  identitiesRequest,
  parseIdentities,
  parseSignature,
  signatureAnswer,
  signRequest,
} from './messages.ts'
import { maxConnections, type ServedAgent, serveAgent } from './serve-agent.ts'
import { openSocketPath } from './socket-path.ts'
import { wireBytes, wireNumber, wireReader } from './wire.ts'

let folder: string
let ends: (() => unknown)[]
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-ssh-agent-'))
  mkdirSync(join(folder, 'served'))
  ends = []
})
afterEach(async () => {
  for (const end of ends.toReversed()) await end()
  rmSync(folder, { recursive: true })
})

/** A client that sends bytes and reads answers. */
async function openClient({ socket }: Pick<ServedAgent, 'socket'>) {
  const place = await openSocketPath(socket)
  const client = connect(place.path)
  await once(client, 'connect')
  await place.close()
  client.on('error', () => {})
  ends.push(() => client.destroy())
  const answers = readMessages(client)
  const next = async (): Promise<Buffer | 'ended'> => {
    try {
      return (await answers.next()).value ?? 'ended'
    } catch {
      return 'ended'
    }
  }
  const ask = (message: Buffer) => {
    client.write(framed(message))
    return next()
  }
  return { client, next, ask }
}

async function serve(
  source: Parameters<typeof loadAgent>[0],
  directory = join(folder, 'served'),
  onGone: (why: string) => void = () => {},
): Promise<ServedAgent> {
  const served = await serveAgent(await loadAgent(source, onGone), directory)
  ends.push(() => served.close())
  return served
}

const pair = generateKeyPairSync('ed25519')

function serveKey(directory?: string): Promise<ServedAgent> {
  const path = join(folder, 'key')
  writeFileSync(path, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  return serve({ kind: 'keys', paths: [path] }, directory)
}

/** An agent of the user: answers with `answerTo`, and notes what reaches it. */
async function userAgent(answerTo: (message: Buffer, client: Socket) => Buffer | undefined) {
  const socket = join(folder, 'user')
  const seen: Buffer[] = []
  const clients = new Set<Socket>()
  const server: Server = createServer(async (client) => {
    clients.add(client)
    client.on('close', () => clients.delete(client)).on('error', () => {})
    try {
      for await (const message of readMessages(client)) {
        seen.push(Buffer.from(message))
        const answer = answerTo(message, client)
        if (answer !== undefined) client.write(framed(answer))
      }
    } catch {
      // The other side has gone.
    }
  })
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  const stop = () => {
    for (const client of clients) client.destroy()
    return new Promise((resolve) => server.close(resolve))
  }
  ends.push(stop)
  return { source: { kind: 'agent', socket } as const, seen, clients, stop }
}

const identities = [{ key: Buffer.from('user key'), comment: 'me@host' }]
const request = signRequest({ key: Buffer.from('user key'), data: Buffer.from('data'), flags: 4 })
const goodAgent = () =>
  userAgent((message) =>
    message[0] === 11 ? identitiesAnswer(identities) : signatureAnswer(Buffer.from('signed')),
  )

/** Every request but the three allowed ones: add, remove, remove all, smartcards, lock, unlock, constrained, extension. */
const refusedRequests: readonly (readonly [string, Buffer])[] = [
  ['no request', Buffer.of(0)],
  ...[3, 4, 7, 8, 9, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 255].map(
    (number) => [`request ${number}`, Buffer.concat([Buffer.of(number), wireBytes('x')])] as const,
  ),
  ['session-bind', Buffer.concat([Buffer.of(27), wireBytes('session-bind@openssh.com')])],
  ['a list with an argument', Buffer.of(11, 1)],
  ['half a signature', request.subarray(0, 9)],
  ['a signature with a tail', Buffer.concat([request, Buffer.of(0)])],
]

describe('serveAgent() with the agent of the user', () => {
  it('lists its keys and passes signatures on, written anew', async () => {
    const agent = await goodAgent()
    const { ask } = await openClient(await serve(agent.source))
    expect(parseIdentities((await ask(identitiesRequest())) as Buffer)).toEqual(identities)
    expect(parseSignature((await ask(request)) as Buffer)).toEqual(Buffer.from('signed'))
    expect(agent.seen).toEqual([identitiesRequest(), request])
  })

  it.each(refusedRequests)('refuses %s, which never reaches the agent', async (_what, message) => {
    const agent = await goodAgent()
    const { ask } = await openClient(await serve(agent.source))
    expect(await ask(message)).toEqual(failureAnswer())
    expect(await ask(Buffer.of(1))).toEqual(Buffer.of(2, 0, 0, 0, 0))
    expect(parseIdentities((await ask(identitiesRequest())) as Buffer)).toEqual(identities)
    expect(agent.seen).toEqual([identitiesRequest()])
  })

  it('connects to the agent once for each client, and only when it is asked', async () => {
    const agent = await goodAgent()
    const served = await serve(agent.source)
    const [one, two, idle] = await Promise.all([openClient(served), openClient(served), openClient(served)])
    await idle.ask(Buffer.of(9))
    for (const { ask } of [one, two, one, two]) await ask(identitiesRequest())
    expect(agent.clients.size).toBe(2)
    one.client.destroy()
    await until(() => agent.clients.size === 1)
  })

  it('answers no when the agent is gone, and says so once', async () => {
    const notices: string[] = []
    const socket = join(folder, 'gone')
    const served = await serve({ kind: 'agent', socket }, undefined, (why) => notices.push(why))
    for (const { ask } of [await openClient(served), await openClient(served)]) {
      expect(await ask(identitiesRequest())).toEqual(failureAnswer())
      expect(await ask(request)).toEqual(failureAnswer())
    }
    expect(notices).toEqual([expect.stringContaining('ENOENT')])
  })

  it('answers no while the agent is away, and finds it again', async () => {
    const agent = await goodAgent()
    const { ask } = await openClient(await serve(agent.source))
    await ask(identitiesRequest())
    await agent.stop()
    expect(await ask(request)).toEqual(failureAnswer())
    await goodAgent()
    expect(parseSignature((await ask(request)) as Buffer)).toEqual(Buffer.from('signed'))
  })

  it.each([
    ['another kind of answer', () => Buffer.of(6)],
    ['a signature in place of a list', () => signatureAnswer(Buffer.from('x'))],
    ['a list of 4 billion keys', () => Buffer.concat([Buffer.of(12), wireNumber(0xffffffff)])],
    ['no answer and the end', (_message: Buffer, client: Socket) => void client.destroy()],
    ['an answer of 4 GB', (_message: Buffer, client: Socket) => void client.write(wireNumber(0xffffffff))],
  ])('answers no when the agent sends %s', async (_what, answerTo) => {
    const agent = await userAgent(answerTo as (message: Buffer) => Buffer)
    const { ask } = await openClient(await serve(agent.source))
    expect(await ask(identitiesRequest())).toEqual(failureAnswer())
    expect(await ask(Buffer.of(1))).toEqual(Buffer.of(2, 0, 0, 0, 0))
  })

  it('close() ends the wait for an agent that does not answer', async () => {
    const agent = await userAgent(() => undefined)
    const served = await serve(agent.source)
    const { ask } = await openClient(served)
    const answer = ask(request)
    await until(() => agent.seen.length === 1)
    await served.close()
    expect(await answer).toBe('ended')
    await until(() => agent.clients.size === 0)
  })
})

describe('serveAgent() with keys', () => {
  it('lists them without a comment, and signs', async () => {
    const { ask } = await openClient(await serveKey())
    const listed = parseIdentities((await ask(identitiesRequest())) as Buffer) ?? []
    expect(listed.map(({ comment }) => comment)).toEqual([''])
    const key = listed[0]?.key ?? Buffer.alloc(0)
    const data = randomBytes(200_000)
    const signed = parseSignature((await ask(signRequest({ key, data, flags: 0 }))) as Buffer)
    const reader = wireReader(signed ?? Buffer.alloc(0))
    expect(reader.text()).toBe('ssh-ed25519')
    expect(verify(null, data, pair.publicKey, reader.bytes())).toBe(true)
  })

  it.each([...refusedRequests, ['a signature of a key that it has not', request] as const])(
    'refuses %s',
    async (_what, message) => {
      const { ask } = await openClient(await serveKey())
      expect(await ask(message)).toEqual(failureAnswer())
    },
  )

  it.each([
    ['an empty message', wireNumber(0)],
    ['a message of 4 GB', Buffer.concat([wireNumber(0xffffffff), randomBytes(1000)])],
    ['a message that is a byte too long', wireNumber(maxMessageBytes + 1)],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
  ])('disconnects a client that sends %s, and no other', async (_what, bytes) => {
    const served = await serveKey()
    const [bad, good] = [await openClient(served), await openClient(served)]
    bad.client.write(bytes)
    expect(await bad.next()).toBe('ended')
    expect(await good.ask(Buffer.of(1))).toEqual(Buffer.of(2, 0, 0, 0, 0))
  })

  it('lives on after any bytes', async () => {
    const served = await serveKey()
    for (let round = 0; round < 200; round++) {
      const { client } = await openClient(served)
      const bytes = randomBytes(1 + (round % 64))
      // Half of them are whole messages with any content.
      client.end(round % 2 === 0 ? bytes : framed(bytes))
      await new Promise((resolve) => client.resume().on('close', resolve))
    }
    const { ask } = await openClient(served)
    expect(await ask(Buffer.of(1))).toEqual(Buffer.of(2, 0, 0, 0, 0))
  })

  it('answers a client that has stopped writing', async () => {
    const { client, next } = await openClient(await serveKey())
    client.end(Buffer.concat([framed(Buffer.of(1)), framed(identitiesRequest())]))
    expect(await next()).toEqual(Buffer.of(2, 0, 0, 0, 0))
    expect(parseIdentities((await next()) as Buffer)).toHaveLength(1)
    expect(await next()).toBe('ended')
  })

  it('stops reading from a client that does not take its answers', async () => {
    let asked = 0
    const large = [{ key: Buffer.alloc(200_000), comment: '' }]
    const connection = {
      identities: async () => {
        asked++
        return large
      },
      sign: async () => undefined,
      close: () => {},
    }
    const served = await serveAgent({ open: () => connection }, join(folder, 'served'))
    ends.push(() => served.close())
    const flooding = await openClient(served)
    flooding.client.pause()
    const requests = 10_000
    flooding.client.write(Buffer.concat(Array(requests).fill(framed(identitiesRequest()))))
    const { ask } = await openClient(served)
    for (let round = 0; round < 50; round++) expect(await ask(Buffer.of(1))).toHaveLength(5)
    // What the kernel keeps of answers is far from all of them.
    expect(asked).toBeLessThan(requests / 10)
  })

  it('ends connections over the limit, and takes new ones when others have ended', async () => {
    const served = await serveKey()
    const clients = await Promise.all(Array.from({ length: maxConnections }, () => openClient(served)))
    for (const { ask } of clients) await ask(Buffer.of(1))
    expect(await (await openClient(served)).ask(Buffer.of(1))).toBe('ended')
    clients[0]?.client.destroy()
    await until(async () => (await (await openClient(served)).ask(Buffer.of(1))) !== 'ended')
  })
})

describe('the socket', () => {
  it('is for its owner alone', async () => {
    const { socket } = await serveKey()
    expect(statSync(socket).mode & 0o777).toBe(0o600)
  })

  it('is gone after close(), with every connection', async () => {
    const agent = await goodAgent()
    const served = await serve(agent.source)
    const { ask, next } = await openClient(served)
    await ask(identitiesRequest())
    await Promise.all([served.close(), served.close()])
    expect(await next()).toBe('ended')
    expect(readdirSync(join(folder, 'served'))).toEqual([])
    await until(() => agent.clients.size === 0)
  })

  it('may have a path that is longer than the kernel takes', async () => {
    const directory = join(folder, 'd'.repeat(120), 'é'.repeat(60))
    mkdirSync(directory, { recursive: true })
    const served = await serveKey(directory)
    expect(served.socket).toBe(join(directory, 'agent'))
    const { ask } = await openClient(served)
    expect(parseIdentities((await ask(identitiesRequest())) as Buffer)).toHaveLength(1)
    const again = join(folder, 'again')
    mkdirSync(again)
    // An agent of the user may have such a path too.
    const through = await openClient(await serve({ kind: 'agent', socket: served.socket }, again))
    expect(parseIdentities((await through.ask(identitiesRequest())) as Buffer)).toHaveLength(1)
    expect(statSync(served.socket).mode & 0o777).toBe(0o600)
    await served.close()
    expect(existsSync(served.socket)).toBe(false)
  })

  it('is not made where there is one, which stays', async () => {
    const served = await serveKey()
    await expect(serveKey()).rejects.toThrow('EADDRINUSE')
    expect(await (await openClient(served)).ask(Buffer.of(1))).toEqual(Buffer.of(2, 0, 0, 0, 0))
  })
})

/** Waits until something is so; the test's own time limit ends it. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 5))
}
