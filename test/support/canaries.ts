import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { User } from './builder-user.ts'
import { findProgram } from './capabilities.ts'
import { storesFolder } from './workspace.ts'

/** What a machine has that no build may reach. Everything that is secret contains the same token. */
export interface Canaries {
  /** 32 random bytes in hex. */
  readonly token: string
  /** Everything below is here. */
  readonly folder: string
  /** Has the token; mode 0600 and root's, where root tests. */
  readonly file: string
  /** Has the token; mode 0600 and of the user that builds: permissions do not protect it. */
  readonly ownFile: string
  /** A tree with a directory, a file, both kinds of links and an executable; its file `token` has the token. */
  readonly tree: string
  /** The user's home, with a `.docker/config.json` whose password is the token. */
  readonly home: string
  /** `127.0.0.1:PORT`, a server of the machine that answers with the token. */
  readonly server: string
  /** What the environment of the builder has beside the usual. */
  readonly environment: Readonly<Record<string, string>>
  /** How many connections the server has taken since the last call. */
  readonly countConnections: () => number
  /** Inode, mode, owner, time in ns, size, target and content of every file, a line each. */
  readonly describe: () => readonly string[]
  readonly remove: () => Promise<void>
}

/** Plants them for a user. @see spec/security.md section 2 */
export async function plantCanaries(user: User): Promise<Canaries> {
  const token = randomBytes(32).toString('hex')
  const folder = mkdtempSync(join(storesFolder, 'tsbuild-canaries-'))
  chmodSync(folder, 0o755)
  const path = (...parts: readonly string[]) => join(folder, ...parts)
  writeFileSync(path('file'), `${token}\n`, { mode: 0o600 })
  writeFileSync(path('own-file'), `${token}\n`, { mode: 0o600 })
  makeTree(path('tree'), token)
  mkdirSync(path('home', '.docker'), { recursive: true })
  const auth = Buffer.from(`someone:${token}`).toString('base64')
  writeFileSync(
    path('home', '.docker', 'config.json'),
    JSON.stringify({ auths: { 'registry.invalid': { auth } } }),
  )
  await user.giveTo(path('own-file'), path('tree'), path('home'))
  const server = await startServer(token)
  const key = addKey(token)
  return {
    token,
    folder,
    file: path('file'),
    ownFile: path('own-file'),
    tree: path('tree'),
    home: path('home'),
    server: server.address,
    environment: { CANARY_TOKEN: token, CANARY_FOLDER: folder },
    countConnections: server.count,
    describe: () => describeFolder(folder),
    remove: async () => {
      await server.stop()
      if (key !== undefined) spawnSync('keyctl', ['unlink', key, '@s'])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function makeTree(folder: string, token: string): void {
  mkdirSync(join(folder, 'directory'), { recursive: true })
  writeFileSync(join(folder, 'token'), `${token}\n`)
  writeFileSync(join(folder, 'directory', 'program'), '#!/bin/sh\n', { mode: 0o755 })
  linkSync(join(folder, 'token'), join(folder, 'directory', 'hard-link'))
  symlinkSync('../token', join(folder, 'directory', 'link'))
  for (const name of ['token', 'directory/program', 'directory', ''])
    utimesSync(join(folder, name), 1e9, 1e9 + 0.5)
}

function describeFolder(folder: string): readonly string[] {
  const list = execFileSync('find', [folder, '-printf', '%p %y %i %n %m %U %G %T@ %s %l\n'], {
    encoding: 'utf8',
  })
  const sums = execFileSync('find', [folder, '-type', 'f', '-exec', 'sha256sum', '{}', '+'], {
    encoding: 'utf8',
  })
  return `${list}${sums}`.trimEnd().split('\n').toSorted()
}

async function startServer(token: string) {
  let connections = 0
  const server = createServer((_request, response) => response.end(token))
  server.on('connection', () => {
    connections += 1
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    count: () => {
      const counted = connections
      connections = 0
      return counted
    },
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A key whose description is the token, since that is what `/proc/keys` shows. Gives its number. */
function addKey(token: string): string | undefined {
  if (findProgram('keyctl') === undefined) return undefined
  const added = spawnSync('keyctl', ['add', 'user', `canary-${token}`, token, '@s'], { encoding: 'utf8' })
  return added.status === 0 ? added.stdout.trim() : undefined
}
