import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { tryPorts } from './published-ports.ts'

const port = (host: number, address = '127.0.0.1', protocol: 'tcp' | 'udp' = 'tcp') =>
  ({ address, host, inside: 80, protocol }) as const

/** A port that somebody listens on, and how it is let go. */
async function taken(): Promise<{ host: number; free: () => Promise<unknown> }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port: host } = server.address() as AddressInfo
  return { host, free: () => new Promise((resolve) => server.close(resolve)) }
}

describe('tryPorts()', () => {
  it('tryPorts() refuses a port while another program listens, and leaves a free one free', async () => {
    const { host, free } = await taken()
    await expect(tryPorts([port(host)])).rejects.toMatchObject({
      code: 'ERR_PORT',
      message: `Cannot publish port "127.0.0.1:${host}": another program listens there`,
    })
    await free()
    await tryPorts([port(host)])
    await tryPorts([port(host), port(host, '127.0.0.1', 'udp')])
  })

  it('tryPorts() refuses a UDP port that is taken', async () => {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const host = socket.address().port
    await expect(tryPorts([port(host, '127.0.0.1', 'udp')])).rejects.toThrow(
      `Cannot publish port "127.0.0.1:${host}/udp": another program listens there`,
    )
    socket.close()
  })

  it('tryPorts() refuses an address of another machine, and one port twice', async () => {
    await expect(tryPorts([port(8080, '192.0.2.1')])).rejects.toThrow('not one of this machine')
    const { host, free } = await taken()
    await free()
    await expect(tryPorts([port(host), port(host)])).rejects.toThrow('it is asked for twice')
  })
})
