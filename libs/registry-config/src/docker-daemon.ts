import { UserError } from '@tsbuild/errors'
import type { MirrorRule } from '@tsbuild/registry'
import { parseJson } from '@tsbuild/shape'
import { readMirrorUrl } from './location.ts'
import { type ConfigNode, checkLength, child, entries, textOf, textsOf, wrongConfig } from './read-value.ts'
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
  // Docker takes hosts with a scheme as well, and says that they should have none.
  const insecure = textsOf(child(document, 'insecure-registries')).map((one) =>
    one.replace(/^https?:\/\//, '').replace(/\/+$/, ''),
  )
  const hub = { prefix: 'docker.io', location: undefined, trust: 'verified', blocked: false } as const
  return {
    rules: mirrors.length === 0 ? [] : [{ ...hub, mirrors, file }],
    insecure,
    searchIn: undefined,
    files: [],
  }
}

function readMirror(node: ConfigNode): MirrorRule {
  const { host, path, plain } = readMirrorUrl(node, textOf(node) ?? '')
  if (path !== '') throw wrongConfig(node, 'has a path, which Docker does not take')
  return { location: host, pull: 'all', trust: plain ? 'insecure' : 'verified' }
}
