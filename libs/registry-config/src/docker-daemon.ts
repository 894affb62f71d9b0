import { isIP } from 'node:net'
import { UserError } from '@tsbuild/errors'
import type { MirrorRule } from '@tsbuild/registry'
import { parseJson } from '@tsbuild/shape'
import { isHost, readMirrorUrl } from './location.ts'
import { type ConfigNode, checkLength, child, entries, textOf, wrongConfig } from './read-value.ts'
import type { RegistryConfig } from './types.ts'

/**
 * Parses what Docker's `daemon.json` says about registries: `registry-mirrors`, which stand for the Hub alone, and
 * `insecure-registries`. What else is in it is not looked at.
 *
 * @param file named in errors and by the rules
 * @throws {UserError} `ERR_CONFIG` if it is no JSON object, larger than 1 MiB, or has a value that makes no sense
 * @see https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file
 */
export function parseDockerDaemon(text: string, file: string): RegistryConfig {
  checkLength(text, file)
  const value = parseJson(text)
  if (value === undefined)
    throw new UserError('ERR_CONFIG', `Cannot parse configuration "${file}": it is not JSON`)
  const document = { file, path: '', value }
  const mirrors = entries(child(document, 'registry-mirrors')).map(readMirror)
  const insecure = entries(child(document, 'insecure-registries')).map(readInsecure)
  const hub = { prefix: 'docker.io', location: undefined, trust: 'verified', blocked: false } as const
  return {
    rules: mirrors.length === 0 ? [] : [{ ...hub, mirrors, file }],
    insecure,
    searchIn: undefined,
    files: [],
  }
}

/** Docker takes hosts with a scheme as well, says that they should have none, and does not start for what is neither host nor network. */
function readInsecure(node: ConfigNode): string {
  const text = (textOf(node) ?? '').replace(/^https?:\/\//i, '').replace(/\/+$/, '')
  if (isHost(text) || isIP(text) !== 0 || isNetwork(text)) return text
  throw wrongConfig(
    node,
    `is ${JSON.stringify(text.slice(0, 200))}, expected host[:port] or a network such as 10.0.0.0/8`,
  )
}

function isNetwork(text: string): boolean {
  const [, address = '', bits = ''] = /^(.+)\/(\d{1,3})$/.exec(text) ?? []
  return isIP(address) !== 0 && Number(bits) <= (isIP(address) === 6 ? 128 : 32)
}

function readMirror(node: ConfigNode): MirrorRule {
  const { host, path, plain } = readMirrorUrl(node, textOf(node) ?? '')
  if (path !== '') throw wrongConfig(node, 'has a path, which Docker does not take')
  return { location: host, pull: 'all', trust: plain ? 'insecure' : 'verified' }
}
