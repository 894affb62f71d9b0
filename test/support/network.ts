import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { check } from './tsbuild.ts'

/** Beyond the gateway of the machine, as a server of the internet is. */
export const outside = '203.0.113.9'
/** Where clouds keep the credentials of a machine; every machine there reaches it. */
export const metadata = '169.254.169.254'
/** The machine in its own network. */
export const machine = '198.51.100.1'
const gateway = '198.51.100.2'
/** Where all servers listen. */
export const serverPort = 8080

/** A machine with a network of its own: loopback, one interface, and a gateway behind which are servers. */
export interface TestNetwork {
  /** Puts a command line onto that machine. */
  readonly on: (argv: readonly string[]) => readonly string[]
  /** How often each address was asked, in order. */
  readonly hits: () => Readonly<Record<string, number>>
  /** The network namespace of the machine, as `/proc/PID/ns/net` names it. */
  readonly namespace: string
  readonly close: () => Promise<void>
}

/**
 * Makes it out of two network namespaces, and starts a server at every address that a step may try: the loopback of the
 * machine, its own address, one outside and that of metadata. Needs root and iproute2.
 */
export async function openNetwork(name: string): Promise<TestNetwork> {
  const [near, far] = [`${name}-near`, `${name}-far`]
  const children: ChildProcess[] = []
  const close = async () => {
    for (const child of children) {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'close')
    }
    for (const one of [near, far]) await check('ip', ['netns', 'delete', one])
  }
  await check('ip', ['netns', 'add', near])
  await check('ip', ['netns', 'add', far])
  const hits: Record<string, number> = {}
  try {
    await connect(near, far)
    const serve = async (namespace: string, addresses: readonly string[]) => {
      for (const address of addresses) hits[address] = 0
      children.push(
        await startServer(namespace, addresses, (address) => (hits[address] = (hits[address] ?? 0) + 1)),
      )
    }
    await serve(near, ['127.0.0.1', '::1', machine])
    await serve(far, [outside, metadata])
  } catch (error) {
    await close()
    throw error
  }
  const inside = ['nsenter', `--net=/run/netns/${near}`]
  return {
    on: (argv) => [...inside, ...argv],
    hits: () => ({ ...hits }),
    namespace: (await check('nsenter', [...inside.slice(1), 'readlink', '/proc/self/ns/net'])).trim(),
    close,
  }
}

async function connect(near: string, far: string): Promise<void> {
  const ip = (namespace: string, line: string) => check('ip', ['-n', namespace, ...line.split(' ')])
  await ip(near, `link add eth0 type veth peer name eth0 netns ${far}`)
  for (const namespace of [near, far]) {
    await ip(namespace, 'link set lo up')
    await ip(namespace, 'link set eth0 up')
  }
  await ip(near, `address add ${machine}/24 dev eth0`)
  await ip(far, `address add ${gateway}/24 dev eth0`)
  for (const address of [outside, metadata]) await ip(far, `address add ${address}/32 dev lo`)
  await ip(near, `route add default via ${gateway}`)
}

/** Answers every request with the address that was asked, and says it on its standard output. */
const serverCode = `
const { createServer } = require('node:http')
const addresses = process.argv.slice(1)
let waiting = addresses.length
for (const address of addresses)
  createServer((_, response) => {
    console.log(address)
    response.end('from ' + address + '\\n')
  }).listen(${serverPort}, address, () => --waiting === 0 && console.log('ready'))
`

async function startServer(
  namespace: string,
  addresses: readonly string[],
  onHit: (address: string) => void,
): Promise<ChildProcess> {
  const child = spawn(
    'nsenter',
    [`--net=/run/netns/${namespace}`, process.execPath, '-e', serverCode, ...addresses],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const lines = createInterface({ input: child.stdout })
  await new Promise<void>((resolve, reject) => {
    child.once('close', (code) => reject(new Error(`the server ended with ${code}`)))
    lines.on('line', (line) => (line === 'ready' ? resolve() : onHit(line)))
  })
  return child
}
