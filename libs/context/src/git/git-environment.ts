import { dirname } from 'node:path'
import type { GitRemote } from '@tsbuild/dockerfile'

/** One line of git's configuration: `core.hooksPath`, `/dev/null`. */
export type GitConfigEntry = readonly [key: string, value: string]

/** What differs between two runs of git. */
export interface GitEnvironmentOptions {
  /** Of our caller; only the names of {@link passedOn} count. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** An empty directory. */
  readonly home: string
  /** Which transports may be used: that of a remote, or copying from a repository of the store; none is the default. */
  readonly transport?: GitRemote['scheme'] | 'file' | undefined
  readonly config?: readonly GitConfigEntry[] | undefined
  readonly indexFile?: string | undefined
}

const proxies = ['http_proxy', 'https_proxy', 'no_proxy', 'all_proxy']

/** The only variables that reach git: where programs are, proxies, authorities, and the agent that holds ssh keys. */
const passedOn = [
  'PATH',
  'SSH_AUTH_SOCK',
  'GIT_SSL_CAINFO',
  'GIT_SSL_CAPATH',
  ...proxies,
  ...proxies.map((name) => name.toUpperCase()),
]

/** A redirect from http to https is followed, never the other way. */
const allowed = { https: 'https', http: 'http:https', ssh: 'ssh', git: 'git', file: 'file' }

/** Nothing is left to what the user, the system or a repository may have configured. */
const fixedConfig: readonly GitConfigEntry[] = [
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['core.attributesFile', '/dev/null'],
  ['core.excludesFile', '/dev/null'],
  ['core.symlinks', 'true'],
  ['core.autocrlf', 'false'],
  ['core.logAllRefUpdates', 'false'],
  ['credential.helper', ''],
  ['advice.detachedHead', 'false'],
  ['submodule.recurse', 'false'],
  ['fetch.recurseSubmodules', 'false'],
  // One pack for each fetch, which appears whole or not at all.
  ['fetch.unpackLimit', '1'],
  ['transfer.fsckObjects', 'true'],
  // What old programs wrote into identities and modes harms nobody, and well-known repositories have it.
  ...['zeroPaddedFilemode', 'badTimezone', 'missingSpaceBeforeDate', 'missingSpaceBeforeEmail'].map(
    (id): GitConfigEntry => [`fetch.fsck.${id}`, 'ignore'],
  ),
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['protocol.version', '2'],
  ['http.lowSpeedLimit', '1'],
  ['http.lowSpeedTime', '60'],
]

/**
 * ssh without the user's configuration, which may name programs; its keys come from an agent only, so that a Dockerfile
 * cannot use what nobody offered to the build. Unknown hosts are refused.
 */
const sshCommand = [
  'ssh -F /dev/null',
  ...[
    'BatchMode=yes',
    'StrictHostKeyChecking=yes',
    'UpdateHostKeys=no',
    'IdentityFile=none',
    'ClearAllForwardings=yes',
    'ConnectTimeout=30',
    'ServerAliveInterval=15',
  ].map((option) => `-o ${option}`),
].join(' ')

/**
 * The whole environment of a run of git, built from nothing. Secrets in `config` are read by processes of this user only,
 * unlike arguments.
 */
export function gitEnvironment(options: GitEnvironmentOptions): Readonly<Record<string, string>> {
  const { env, home, transport, config = [], indexFile } = options
  const entries = [...fixedConfig, ...config]
  const result: Record<string, string> = {
    HOME: home,
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    // The store may lie in somebody's checkout.
    GIT_CEILING_DIRECTORIES: dirname(home),
    GIT_TERMINAL_PROMPT: '0',
    // Set and empty: no program is asked, whatever else is configured.
    GIT_ASKPASS: '',
    GIT_ALLOW_PROTOCOL: transport === undefined ? '' : allowed[transport],
    GIT_SSH_COMMAND: sshCommand,
    GIT_SSH_VARIANT: 'ssh',
    GIT_LITERAL_PATHSPECS: '1',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_CONFIG_COUNT: String(entries.length),
  }
  for (const [index, [key, value]] of entries.entries()) {
    result[`GIT_CONFIG_KEY_${index}`] = key
    result[`GIT_CONFIG_VALUE_${index}`] = value
  }
  for (const name of passedOn) {
    const value = env[name]
    if (value !== undefined) result[name] = value
  }
  if (indexFile !== undefined) result.GIT_INDEX_FILE = indexFile
  return result
}
