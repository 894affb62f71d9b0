import { mkdirSync, writeFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import type { Route } from '@tsbuild/http-server'
import {
  type Grant,
  mintToken,
  parseScope,
  type Scope,
  type SigningKey,
  type TokenClaims,
} from '@tsbuild/trust'
import type { Host } from '../../apps/cache-server/src/host.ts'
import { openKeyRing } from '../../apps/cache-server/src/keys/key-ring.ts'
import { openLog } from '../../apps/cache-server/src/log/log.ts'
import { openListeners } from '../../apps/cache-server/src/serve/listeners.ts'
import { openService } from '../../apps/cache-server/src/serve/open-service.ts'
import { type FlagValues, readSettings } from '../../apps/cache-server/src/settings/read-settings.ts'
import { tokenParties } from '../../apps/cache-server/src/tokens/claims.ts'
import { revoke } from '../../apps/cache-server/src/tokens/revocations.ts'
import { withStore } from '../../apps/cache-server/src/with-store.ts'

/** A cache-server in this process: everything that the command puts together, on a free port of loopback. */
export interface CacheInstance {
  readonly url: string
  readonly port: number
  readonly dir: string
  readonly routes: readonly Route[]
  /** Signs its tokens and records. */
  readonly key: SigningKey
  /** Takes a token back, as `cache-server token revoke` does, and makes the server know it. */
  revoke(id: string): Promise<void>
  /** What it logged so far. */
  log(): string
  close(): Promise<void>
}

/**
 * Starts an instance on a folder.
 *
 * @param settings as flags have them, by key: `auth`, `publicRead`; lists for what may be repeated
 * @param oidc issuers, as in the configuration file
 */
export async function startCacheInstance(
  dir: string,
  settings: Readonly<Record<string, string | readonly string[] | true>> = {},
  oidc?: readonly object[],
): Promise<CacheInstance> {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const config = oidc === undefined ? undefined : `${dir}.json`
  if (config !== undefined) writeFileSync(config, JSON.stringify({ oidc }))
  const stderr = new PassThrough()
  let log = ''
  stderr.on('data', (part: Buffer) => {
    log += part.toString()
  })
  const host: Host = {
    env: {},
    cwd: dir,
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr,
    now: Date.now,
    pid: process.pid,
    onSignal: () => () => {},
    exitNow: () => {},
  }
  const flags = new Map(
    Object.entries({ dir, listen: ['127.0.0.1:0'], ...settings }),
  ) as unknown as FlagValues
  const read = await readSettings(flags, config, host)
  const opened = openLog({ level: 'debug', format: 'json' }, host)
  const service = await openService({ settings: read, host, log: opened })
  const listeners = await openListeners(read.listen, undefined, service.http)
  const [url = ''] = listeners.urls
  const ring = await openKeyRing(dir)
  return {
    url,
    port: Number(new URL(url).port),
    dir,
    routes: service.http.routes,
    key: ring.keys[0],
    revoke: async (id) => {
      const until = Math.floor(Date.now() / 1000) + 3600
      await withStore(read, host, (store) => revoke(store, { id, until }, Date.now()))
      await service.reload()
    },
    log: () => {
      opened.flush()
      return log
    },
    close: async () => {
      await listeners.close(1000)
      await service.close()
    },
  }
}

/** What a token of a test says; scopes of `acme/app` by their last part: `ref/main`. */
export interface TestToken {
  readonly read?: readonly string[]
  readonly write?: string
  readonly operations?: Grant['operations']
  readonly repositories?: Grant['repositories']
  readonly id?: string
  readonly changes?: Partial<TokenClaims>
}

let made = 0

/** A token that an instance takes. */
export async function tokenOf(key: SigningKey, token: TestToken = {}, now = Date.now()): Promise<string> {
  const { read = [], write, operations = ['pull', 'push'], repositories = { pull: [], push: [] } } = token
  made += 1
  const id = token.id ?? `test-${made}`
  const claims: TokenClaims = {
    ...tokenParties,
    subject: `token:${id}`,
    read: read.map(ours),
    write: write === undefined ? undefined : ours(write),
    operations,
    repositories,
    ttl: 3600,
    id,
    ...token.changes,
  }
  return await mintToken(key, claims, now)
}

/** A scope of `acme/app`. */
export function ours(name: string): Scope {
  return parseScope(`acme/app:${name}`)
}
