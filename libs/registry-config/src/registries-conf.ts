import type { MirrorRule, RegistryRule, Trust } from '@tsbuild/registry'
import { checkLocation, checkPrefix } from './location.ts'
import {
  type ConfigNode,
  child,
  entries,
  flagOf,
  textOf,
  textsOf,
  wordOf,
  wrongConfig,
} from './read-value.ts'
import { parseToml } from './toml.ts'
import type { RegistryConfig } from './types.ts'

/**
 * Parses a `registries.conf`, in its second version or its first. `aliases`, `short-name-mode` and `credential-helpers` are
 * not read: a name without a registry means the Hub, and credentials have files of their own.
 *
 * @param file named in errors and by the rules
 * @throws {UserError} `ERR_CONFIG` if it is no TOML, larger than 1 MiB, or has a value that makes no sense
 * @see containers-registries.conf(5)
 */
export function parseRegistriesConf(text: string, file: string): RegistryConfig {
  const document = parseToml(text, file)
  const old = child(document, 'registries')
  const registries = child(document, 'registry')
  const search = child(document, 'unqualified-search-registries')
  if (old.value === undefined) {
    return {
      rules: entries(registries).map(readRegistry),
      insecure: [],
      searchIn: search.value === undefined ? undefined : textsOf(search),
      files: [],
    }
  }
  if (registries.value !== undefined || search.value !== undefined)
    throw wrongConfig(old, 'is of version 1, other keys are of version 2')
  return readVersion1(old)
}

function readRegistry(node: ConfigNode): RegistryRule {
  const location = locationOf(node)
  const prefixNode = child(node, 'prefix')
  const prefix = textOf(prefixNode)
  if (prefix === undefined && location === undefined)
    throw wrongConfig(node, 'has neither prefix nor location')
  const digestOnly = flagOf(child(node, 'mirror-by-digest-only'))
  return {
    prefix: prefix === undefined ? (location ?? '') : checkPrefix(prefixNode, prefix),
    location: prefix === undefined ? undefined : location,
    mirrors: entries(child(node, 'mirror')).map((mirror) => readMirror(mirror, digestOnly)),
    trust: trustOf(node),
    blocked: flagOf(child(node, 'blocked')),
    file: node.file,
  }
}

function readMirror(node: ConfigNode, digestOnly: boolean): MirrorRule {
  const location = locationOf(node)
  if (location === undefined) throw wrongConfig(node, 'has no location')
  const pullNode = child(node, 'pull-from-mirror')
  const pull = wordOf(pullNode, ['all', 'digest-only', 'tag-only'])
  if (digestOnly && pull !== undefined) throw wrongConfig(pullNode, 'contradicts mirror-by-digest-only')
  return {
    location,
    pull: digestOnly || pull === 'digest-only' ? 'digest' : pull === 'tag-only' ? 'tag' : 'all',
    trust: trustOf(node),
  }
}

function locationOf(node: ConfigNode): string | undefined {
  const location = child(node, 'location')
  const text = textOf(location)
  return text === undefined ? undefined : checkLocation(location, text)
}

function trustOf(node: ConfigNode): Trust {
  return flagOf(child(node, 'insecure')) ? 'insecure' : 'verified'
}

function readVersion1(node: ConfigNode): RegistryConfig {
  const list = (name: string): readonly string[] => {
    const table = child(node, name)
    return table.value === undefined ? [] : textsOf(child(table, 'registries'))
  }
  const blocked = new Set(list('block').map((prefix) => checkPrefix(node, prefix)))
  const insecure = new Set(list('insecure').map((prefix) => checkPrefix(node, prefix)))
  const rules = [...new Set([...blocked, ...insecure])].map((prefix) => ({
    prefix,
    location: undefined,
    mirrors: [],
    trust: insecure.has(prefix) ? ('insecure' as const) : ('verified' as const),
    blocked: blocked.has(prefix),
    file: node.file,
  }))
  return { rules, insecure: [], searchIn: list('search'), files: [] }
}
