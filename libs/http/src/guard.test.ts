import { once } from 'node:events'
import { createServer } from 'node:http'
import type { LookupFunction } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGuards, guardedLookup, InternalAddressError } from './guard.ts'
import { createTransport } from './index.ts'

/** Counts what reaches this machine. */
let canary: { readonly port: number; readonly connections: () => number; readonly stop: () => Promise<void> }
beforeAll(async () => {
  let connections = 0
  const server = createServer((_, response) => response.end('here'))
  server.on('connection', () => {
    connections++
  })
  server.listen(0, '::')
  await once(server, 'listening')
  const address = server.address()
  canary = {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    connections: () => connections,
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
})
afterAll(() => canary.stop())

const names: Readonly<Record<string, readonly string[]>> = {
  'public.example': ['203.0.113.1'],
  'inside.example': ['10.1.1.1'],
  'here.example': ['127.0.0.1'],
  'here6.example': ['::1'],
  'mapped.example': ['::ffff:127.0.0.1'],
  'mixed.example': ['203.0.113.1', '127.0.0.1'],
  'ten.example': ['10.0.0.5'],
  'ula.example': ['fd00::5'],
}

const lookup: LookupFunction = (name, { all }, callback) => {
  const found = (names[name] ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  const [first] = found
  if (first === undefined) callback(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }), '')
  else if (all === true) callback(null, found)
  else callback(null, first.address, first.family)
}

/** @returns the code of what went wrong, or the answer */
async function ask(url: string, namedBy: string | undefined): Promise<string> {
  const transport = createTransport({ lookup, timeouts: { connectMs: 200 } })
  try {
    const response = await transport.send({
      method: 'GET',
      url: new URL(url),
      headers: {},
      insecure: true,
      foreign: true,
      namedBy: namedBy === undefined ? undefined : new URL(`https://${namedBy}`),
    })
    return Buffer.concat(await response.body.toArray()).toString()
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  } finally {
    await transport.close()
  }
}

describe('hosts that a server in public names', () => {
  it.each([
    'http://127.0.0.1',
    'http://127.1',
    'http://2130706433',
    'http://0x7f000001',
    'http://0177.0.0.1',
    'http://0.0.0.0',
    'http://[::1]',
    'http://[::]',
    'http://[::ffff:127.0.0.1]',
    'http://[64:ff9b::7f00:1]',
    'http://169.254.169.254',
    'http://[fe80::1]',
    'http://10.0.0.5',
    'http://172.16.0.5',
    'http://192.168.0.5',
    'http://100.64.0.5',
    'http://[fd00::5]',
    'http://[64:ff9b::a00:5]',
    'http://here.example',
    'http://here6.example',
    'http://mapped.example',
    'http://mixed.example',
    'http://ten.example',
    'http://ula.example',
  ])('REG-02: %s is not connected to', async (url) => {
    const before = canary.connections()
    expect(await ask(`${url}:${canary.port}/latest/meta-data`, 'public.example')).toBe('ERR_INTERNAL_ADDRESS')
    expect(canary.connections()).toBe(before)
  })

  it.each(['http://10.0.0.5', 'http://ten.example', 'http://[fd00::5]', 'http://ula.example'])(
    'REG-02: %s may be, if the server is in a private network itself',
    async (text) => {
      const url = new URL(text)
      for (const home of ['inside.example', '192.168.1.1', '[fd00::1]', 'localhost', undefined]) {
        const namedBy = home === undefined ? undefined : new URL(`https://${home}`)
        const guard = await createGuards(lookup).of({ url, foreign: true, namedBy })
        const found = await new Promise((resolve) =>
          guardedLookup(lookup, guard)(url.hostname, { all: true }, (error, addresses) =>
            resolve(error instanceof InternalAddressError ? 'refused' : addresses),
          ),
        )
        expect(guard).toBe('machine')
        expect(found).not.toBe('refused')
      }
    },
  )

  it('REG-02: this machine is not, wherever the server is', async () => {
    const before = canary.connections()
    for (const home of ['inside.example', '192.168.1.1', undefined]) {
      expect(await ask(`http://here.example:${canary.port}`, home)).toBe('ERR_INTERNAL_ADDRESS')
      expect(await ask(`http://127.0.0.1:${canary.port}`, home)).toBe('ERR_INTERNAL_ADDRESS')
    }
    expect(canary.connections()).toBe(before)
  })

  it('a server that cannot be looked up is in public', async () => {
    expect(await ask('http://10.0.0.5', 'nowhere.example')).toBe('ERR_INTERNAL_ADDRESS')
  })

  it('the canary would be seen', async () => {
    const transport = createTransport({ lookup })
    const url = new URL(`http://here.example:${canary.port}`)
    const before = canary.connections()
    const response = await transport.send({
      method: 'GET',
      url,
      headers: {},
      insecure: false,
      foreign: false,
    })
    await response.discard()
    await transport.close()
    expect(canary.connections()).toBe(before + 1)
  })
})
