import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram } from './capabilities.ts'
import { freePort } from './free-port.ts'
import { check } from './tsbuild.ts'

/** Where sshd is without privileges; it insists that the folder exists. */
const privilegeFolder = '/run/sshd'

/** A running `sshd`, which lets root in with one key. */
export interface SshServer {
  readonly port: number
  /** The private key that may enter. */
  readonly key: string
  /** The server's line of `known_hosts`. */
  readonly knownHost: string
  /** What it has said so far. */
  readonly log: () => string
  readonly stop: () => Promise<void>
}

/** Makes a key pair without a passphrase; gives the path of the private one. */
export async function makeKey(path: string, passphrase = ''): Promise<string> {
  await check('ssh-keygen', ['-q', '-t', 'ed25519', '-N', passphrase, '-C', 'test', '-f', path])
  return path
}

/** Starts a server of our own on a loopback port, with its keys in `folder`; resolves when it answers. Needs root. */
export async function startSshd(folder: string): Promise<SshServer> {
  const program = findProgram('sshd')
  if (program === undefined) throw new Error('sshd is not installed')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const port = await freePort()
  const [hostKey, key] = [await makeKey(join(folder, 'host-key')), await makeKey(join(folder, 'key'))]
  const config = join(folder, 'sshd_config')
  writeFileSync(config, configuration({ port, hostKey, authorizedKeys: `${key}.pub` }))
  const isOurs = !existsSync(privilegeFolder)
  if (isOurs) mkdirSync(privilegeFolder, { mode: 0o755 })
  const child = spawn(program, ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    log += text
  })
  await listens(child, () => log)
  const [type, blob] = readFileSync(`${hostKey}.pub`, 'utf8').split(' ')
  return {
    port,
    key,
    knownHost: `[127.0.0.1]:${port} ${type} ${blob}\n`,
    log: () => log,
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      if (child.exitCode === null && child.kill()) await ended
      if (isOurs) rmdirSync(privilegeFolder)
    },
  }
}

function configuration(values: { port: number; hostKey: string; authorizedKeys: string }): string {
  return [
    `Port ${values.port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${values.hostKey}`,
    `AuthorizedKeysFile ${values.authorizedKeys}`,
    'PermitRootLogin prohibit-password',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    // The folders above the keys are of a test.
    'StrictModes no',
    'UsePAM no',
    'PidFile none',
    '',
  ].join('\n')
}

async function listens(child: ChildProcess, log: () => string): Promise<void> {
  while (!log().includes('Server listening')) {
    if (child.exitCode !== null) throw new Error(`sshd ended:\n${log()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
