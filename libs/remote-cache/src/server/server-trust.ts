import { readFile } from 'node:fs/promises'
import type { Capabilities } from '@tsbuild/cache-protocol'
import { EnvironmentError, UserError } from '@tsbuild/errors'
import { parseKeysFile, parsePublicKey, type TrustedKey, type TrustPolicy } from '@tsbuild/trust'
import type { OpenTools, ServerKeys } from '../types.ts'
import { type KnownServers, readKnownServers, rememberServer } from './known-servers.ts'

/** What is known of a server, and whose signatures count. */
export interface ServerTrust {
  readonly capabilities: Capabilities
  readonly policy: TrustPolicy
}

/** What {@link loadTrust} goes by. */
export interface TrustQuestion {
  readonly capabilities: Capabilities
  readonly url: URL
  readonly policy: ServerKeys | undefined
  readonly tools: OpenTools
}

/**
 * Decides whose signatures count: those of a file of keys where there is one, else those that the server had at the first contact. What
 * it says later adds no key to them: whoever stands between would say the same.
 *
 * @throws {UserError} `ERR_CACHE_KEYS_FILE` for a file that cannot be read
 * @throws {EnvironmentError} `ERR_CACHE_SERVER_KEY` where the server signs with another key than it did
 */
export async function loadTrust({ capabilities, url, policy, tools }: TrustQuestion): Promise<ServerTrust> {
  if (policy !== undefined) return { capabilities, policy: await readKeysFile(policy.file) }
  const shown = keysOf(capabilities)
  const [signing] = shown
  const name = nameOf(url)
  if (signing === undefined)
    throw new EnvironmentError('ERR_CACHE_SERVER', `Cannot use cache-server "${name}": it signs nothing`)
  const file = tools.knownServers
  if (file === undefined) return { capabilities, policy: trusting(shown) }
  const known: KnownServers = await readKnownServers(file)
  const pinned = known[name]?.keys.flatMap((text) => parsePublicKey(text) ?? []) ?? []
  if (pinned.length === 0) {
    await rememberServer(file, name, {
      keys: capabilities.keys.map(({ publicKey }) => publicKey),
      since: tools.now(),
    })
    tools.tell?.(`${name} signs with ${signing.id}, which is trusted from now on (${file})`)
    return { capabilities, policy: trusting(shown) }
  }
  if (!pinned.some(({ id }) => id === signing.id)) throw changedKey(name, file, signing)
  return { capabilities, policy: trusting(pinned) }
}

/** How a server is called in files: without a `/` at the end. */
export function nameOf(url: URL): string {
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}

/** Its keys, the one that it signs with first. An id that is not of the key says nothing. */
function keysOf({ keys }: Capabilities): readonly TrustedKey[] {
  return keys.flatMap(({ publicKey }) => parsePublicKey(publicKey) ?? [])
}

function trusting(keys: readonly TrustedKey[]): TrustPolicy {
  return { rules: [{ scopes: ['**'], keys }] }
}

async function readKeysFile(file: string): Promise<TrustPolicy> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new UserError('ERR_CACHE_KEYS_FILE', `Cannot read keys "${file}": it cannot be opened`, { cause })
  })
  return parseKeysFile(text, file)
}

function changedKey(name: string, file: string, { id }: TrustedKey): EnvironmentError {
  return new EnvironmentError(
    'ERR_CACHE_SERVER_KEY',
    `Cannot trust cache-server "${name}": it signs with ${id}, and signed with another key before`,
    {
      hints: [
        `If the server got a new key on purpose, remove its entry from ${file}.`,
        'If not, somebody else answers in its place.',
      ],
    },
  )
}
