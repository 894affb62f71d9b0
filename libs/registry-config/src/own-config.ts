import { didYouMean, UserError } from '@tsbuild/errors'
import type { MirrorRule, RegistryRule, Trust } from '@tsbuild/registry'
import { checkLocation, checkPrefix, readMirrorUrl } from './location.ts'
import {
  type ConfigNode,
  child,
  children,
  entries,
  flagOf,
  textOf,
  textsOf,
  wordOf,
  wrongConfig,
} from './read-value.ts'
import type { HostFiles, RegistryConfig } from './types.ts'

const ruleKeys = [
  'location',
  'mirrors',
  'insecure',
  'skipVerify',
  'blocked',
  'ca',
  'clientCertificate',
  'clientKey',
] as const
const mirrorKeys = ['location', 'pull', 'insecure', 'skipVerify'] as const

/**
 * Reads `registries` of tsbuild's own configuration: an object from prefixes to what is said about them.
 *
 * @param value already parsed JSON
 * @param file named in errors and by the rules
 * @throws {UserError} `ERR_CONFIG` if it has an unknown key or a value that makes no sense
 */
export function readOwnRegistries(value: unknown, file: string): RegistryConfig {
  const all = children({ file, path: 'registries', value })
  return {
    rules: all.map(([prefix, node]) => readRule(prefix, node)),
    insecure: [],
    searchIn: undefined,
    files: all.flatMap(([prefix, node]) => readFiles(prefix, node)),
  }
}

function readRule(prefix: string, node: ConfigNode): RegistryRule {
  refuseUnknown(node, ruleKeys)
  const locationNode = child(node, 'location')
  const location = textOf(locationNode)
  return {
    prefix: checkPrefix(node, prefix),
    location: location === undefined ? undefined : checkLocation(locationNode, location),
    mirrors: entries(child(node, 'mirrors')).map(readMirror),
    trust: trustOf(node),
    blocked: flagOf(child(node, 'blocked')),
    file: node.file,
  }
}

/** A mirror is a URL, a location, or an object. */
function readMirror(node: ConfigNode): MirrorRule {
  if (typeof node.value === 'string') {
    if (!node.value.includes('://')) {
      return { location: checkLocation(node, node.value), pull: 'all', trust: 'verified' }
    }
    const { host, path, plain } = readMirrorUrl(node, node.value)
    return {
      location: checkLocation(node, `${host}${path}`),
      pull: 'all',
      trust: plain ? 'insecure' : 'verified',
    }
  }
  refuseUnknown(node, mirrorKeys)
  const location = child(node, 'location')
  const text = textOf(location)
  if (text === undefined) throw wrongConfig(node, 'has no location')
  return {
    location: checkLocation(location, text),
    pull: wordOf(child(node, 'pull'), ['all', 'digest', 'tag']) ?? 'all',
    trust: trustOf(node),
  }
}

function trustOf(node: ConfigNode): Trust {
  if (flagOf(child(node, 'insecure'))) return 'insecure'
  return flagOf(child(node, 'skipVerify')) ? 'unverified' : 'verified'
}

function readFiles(prefix: string, node: ConfigNode): readonly HostFiles[] {
  const caNode = child(node, 'ca')
  const ca = typeof caNode.value === 'string' ? [caNode.value] : textsOf(caNode)
  const certificate = textOf(child(node, 'clientCertificate'))
  const key = textOf(child(node, 'clientKey'))
  if (key !== undefined && certificate === undefined)
    throw wrongConfig(node, 'has a clientKey and no clientCertificate')
  if (ca.length === 0 && certificate === undefined) return []
  if (prefix.includes('/') || prefix.startsWith('*')) {
    throw wrongConfig(node, 'has certificates, which belong to a host and not to a path or a pattern')
  }
  const client = certificate === undefined ? undefined : { certificate, key: key ?? certificate }
  return [{ host: prefix, ca, client, file: node.file }]
}

function refuseUnknown(node: ConfigNode, known: readonly string[]): void {
  for (const [name, { path }] of children(node)) {
    if (known.includes(name)) continue
    throw new UserError('ERR_CONFIG', `Cannot use configuration "${node.file}": key "${path}" is not known`, {
      hints: didYouMean(name, known),
    })
  }
}
