import type { MirrorRule, RegistryRule } from '@tsbuild/registry'
import { checkLocation, isHost, type MirrorUrl, readMirrorUrl } from './location.ts'
import {
  type ConfigNode,
  child,
  children,
  flagOf,
  textOf,
  textsOf,
  wordOf,
  wrongConfig,
} from './read-value.ts'
import { parseToml } from './toml.ts'
import type { HostFiles, RegistryConfig } from './types.ts'

const capabilities = ['pull', 'resolve', 'push', 'referrers'] as const

/**
 * Parses containerd's `certs.d/<host>/hosts.toml`. A host that may pull but not resolve is a mirror for digests. Headers are not
 * read, nor is the folder `_default`.
 *
 * @param host the name of the folder, `host[:port]`
 * @param file named in errors and by the rules
 * @throws {UserError} `ERR_CONFIG` if it is no TOML, larger than 1 MiB, or has a value that makes no sense
 * @see https://github.com/containerd/containerd/blob/main/docs/hosts.md
 */
export function parseContainerdHosts(text: string, host: string, file: string): RegistryConfig {
  const document = parseToml(text, file)
  if (!isHost(host)) throw wrongConfig(document, `is in a folder ${JSON.stringify(host)}, which is no host`)
  const table = children(child(document, 'host'))
  const mirrors = table.flatMap(([name, node]) => readHost(name, node) ?? [])
  const rule: RegistryRule = {
    prefix: host,
    ...readServer(document, host),
    mirrors: mirrors.map(({ mirror }) => mirror),
    blocked: false,
    file,
  }
  const server = new URL(`https://${rule.location ?? host}`).host
  return {
    rules: [rule],
    insecure: [],
    searchIn: undefined,
    files: [...filesOf(document, server), ...mirrors.flatMap(({ node, at }) => filesOf(node, at.host))],
  }
}

function readServer(document: ConfigNode, host: string): Pick<RegistryRule, 'location' | 'trust'> {
  const node = child(document, 'server')
  const text = textOf(node)
  const unproven = flagOf(child(document, 'skip_verify')) ? 'unverified' : 'verified'
  if (text === undefined) return { location: undefined, trust: unproven }
  const at = readMirrorUrl(node, text.includes('://') ? text : `https://${text}`)
  const location = locationOf(node, at, flagOf(child(document, 'override_path')))
  // The Hub has a name of its own in front of the machines that serve it.
  const same = location === host || (host === 'docker.io' && location === 'registry-1.docker.io')
  return { location: same ? undefined : location, trust: at.plain ? 'insecure' : unproven }
}

interface Host {
  readonly node: ConfigNode
  readonly at: MirrorUrl
  readonly mirror: MirrorRule
}

/** @returns undefined for a host that is only pushed to */
function readHost(name: string, node: ConfigNode): Host | undefined {
  const at = readMirrorUrl(node, name.includes('://') ? name : `https://${name}`)
  const list = child(node, 'capabilities')
  const said = list.value === undefined ? undefined : textsOf(list)
  for (const [index, value] of (said ?? []).entries()) {
    wordOf({ ...list, path: `${list.path}[${index}]`, value }, capabilities)
  }
  if (said !== undefined && !said.includes('pull')) return undefined
  const unproven = flagOf(child(node, 'skip_verify')) ? 'unverified' : 'verified'
  const location = locationOf(node, at, flagOf(child(node, 'override_path')))
  const pull = said === undefined || said.includes('resolve') ? 'all' : 'digest'
  return { node, at, mirror: { location, pull, trust: at.plain ? 'insecure' : unproven } }
}

/** The protocol's addresses begin with `/v2/`; what comes behind it in a path stands before the names of repositories. */
function locationOf(node: ConfigNode, at: MirrorUrl, overridePath: boolean): string {
  if (at.path === '' || (overridePath && at.path === '/v2')) return at.host
  if (overridePath && at.path.startsWith('/v2/')) {
    return checkLocation(node, `${at.host}${at.path.slice('/v2'.length)}`)
  }
  throw wrongConfig(node, `has the path "${at.path}"; only paths below /v2 with override_path are known`)
}

function filesOf(node: ConfigNode, host: string): readonly HostFiles[] {
  const ca = listOf(child(node, 'ca'))
  const clients = child(node, 'client')
  const pairs =
    Array.isArray(clients.value) && Array.isArray(clients.value[0]) ? clients.value : [clients.value]
  const [certificate, key] = listOf({ ...clients, value: pairs[0] })
  if (certificate === undefined && ca.length === 0) return []
  // One file may hold both.
  const client = certificate === undefined ? undefined : { certificate, key: key ?? certificate }
  return [{ host, ca, client, file: node.file }]
}

function listOf(node: ConfigNode): readonly string[] {
  return typeof node.value === 'string' ? [node.value] : textsOf(node)
}
