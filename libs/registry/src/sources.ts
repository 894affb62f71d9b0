import { BlockList, isIP } from 'node:net'
import { isBuildError, UserError } from '@tsbuild/errors'
import { withoutBrackets } from '@tsbuild/http'
import { formatReference, type ImageReference, parseReference } from '@tsbuild/oci'
import type { RegistryHosts, RegistryRule, Trust } from './hosts.ts'

/** A place that is asked for what a reference means. */
export interface Source {
  /** With the host and the repository that are really asked. */
  readonly reference: ImageReference
  readonly trust: Trust
}

/** Finds the addresses of a host name; empty where there are none. */
export type Resolve = (hostname: string) => Promise<readonly string[]>

/**
 * Finds what is asked for a pull: mirrors in their order, then the registry itself or the location that stands for it.
 *
 * @param what a blob has a digest whatever the reference has
 * @throws {UserError} `ERR_CONFIG` if the name is blocked, or leads to a location that is no name
 */
export async function pullSources(
  hosts: RegistryHosts,
  reference: ImageReference,
  what: 'manifest' | 'blob',
  resolve: Resolve,
): Promise<{ readonly mirrors: readonly Source[]; readonly origin: Source }> {
  const found = findRule(hosts.rules, reference)
  const mirrors: Source[] = []
  for (const mirror of found?.rule.mirrors ?? []) {
    const byDigest = reference.digest !== undefined
    if (mirror.pull === 'digest' && !byDigest && what !== 'blob') continue
    if (mirror.pull === 'tag' && byDigest) continue
    const at = found === undefined ? reference : rewrite(reference, found, mirror.location)
    mirrors.push({ reference: at, trust: await trustOf(hosts, at.registry, mirror.trust, resolve) })
  }
  return { mirrors, origin: await readSource(hosts, reference, resolve) }
}

/** Finds what is asked for anything else that is read, such as tags. @throws {UserError} `ERR_CONFIG` as {@link pullSources} */
export async function readSource(
  hosts: RegistryHosts,
  reference: ImageReference,
  resolve: Resolve,
): Promise<Source> {
  const found = findRule(hosts.rules, reference)
  const location = found?.rule.location
  if (found === undefined || location === undefined) return writeSource(hosts, reference, resolve)
  refuseBlocked(found.rule, reference)
  const at = rewrite(reference, found, location)
  return { reference: at, trust: await trustOf(hosts, at.registry, found.rule.trust, resolve) }
}

/** Finds where something is written: always where the name says. @throws {UserError} `ERR_CONFIG` if the name is blocked */
export async function writeSource(
  hosts: RegistryHosts,
  reference: ImageReference,
  resolve: Resolve,
): Promise<Source> {
  const rule = findRule(hosts.rules, reference)?.rule
  if (rule !== undefined) refuseBlocked(rule, reference)
  return { reference, trust: await trustOf(hosts, reference.registry, rule?.trust ?? 'verified', resolve) }
}

/** How much a registry has to prove where no repository of it is meant. @throws {UserError} `ERR_CONFIG` if it is blocked */
export async function registryTrust(
  hosts: RegistryHosts,
  registry: string,
  resolve: Resolve,
): Promise<Trust> {
  const { trust } = await writeSource(hosts, { registry, repository: '' }, resolve)
  return trust
}

interface Match {
  readonly rule: RegistryRule
  /** How much of the name the prefix stands for. */
  readonly length: number
}

function findRule(rules: readonly RegistryRule[], reference: ImageReference): Match | undefined {
  let best: Match | undefined
  for (const rule of rules) {
    const length = matchedLength(rule, reference)
    if (length === undefined) continue
    // A pattern stands for more of the name than it has letters: what is written out is nearer.
    if (best === undefined || rule.prefix.length > best.rule.prefix.length) best = { rule, length }
  }
  return best
}

/**
 * The prefix ends where a part of the name ends. `example.com` is not `example.com:5000`, which is another registry; but who
 * blocks a host means all of it, and `example.com:443` is the same in other words.
 */
function matchedLength({ prefix, blocked }: RegistryRule, reference: ImageReference): number | undefined {
  const { registry } = reference
  if (blocked && registry.replace(/:\d+$/, '') === prefix) return registry.length
  if (prefix.startsWith('*.')) {
    const host = registry.replace(/:\d+$/, '')
    return host.length > prefix.length - 1 && host.endsWith(prefix.slice(1)) ? registry.length : undefined
  }
  if (prefix === registry) return prefix.length
  const name = formatReference(reference)
  if (!prefix.startsWith(`${registry}/`) || !name.startsWith(prefix)) return undefined
  const next = name[prefix.length]
  return next === undefined || next === '/' || next === ':' || next === '@' ? prefix.length : undefined
}

/** Puts a location in the place of the prefix; tag and digest stay what they are. */
function rewrite(reference: ImageReference, { rule, length }: Match, location: string): ImageReference {
  const { tag, digest } = reference
  const name = `${reference.registry}/${reference.repository}`
  const rewritten = `${location.replace(/\/+$/, '')}${name.slice(length)}`
  const { registry, repository } = parseRewritten(rewritten, rule)
  return {
    registry,
    repository,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  }
}

function parseRewritten(name: string, rule: RegistryRule): ImageReference {
  try {
    return parseReference(name)
  } catch (cause) {
    if (!isBuildError(cause)) throw cause
    throw new UserError(
      'ERR_CONFIG',
      `Cannot use "${rule.file}": for the prefix "${rule.prefix}" it leads to ${JSON.stringify(name.slice(0, 300))}, which is no image name`,
      { cause },
    )
  }
}

function refuseBlocked(rule: RegistryRule, reference: ImageReference): void {
  if (!rule.blocked) return
  const name = reference.repository === '' ? reference.registry : formatReference(reference)
  throw new UserError('ERR_CONFIG', `Cannot use ${name}: "${rule.prefix}" is blocked`, {
    hints: [`"${rule.file}" says so.`],
  })
}

async function trustOf(
  hosts: RegistryHosts,
  registry: string,
  said: Trust,
  resolve: Resolve,
): Promise<Trust> {
  if (said === 'insecure' || hosts.insecure.length === 0) return said
  // Another port is another registry, as for Docker.
  if (hosts.insecure.some((listed) => listed === registry || `[${listed}]` === registry)) return 'insecure'
  const hostname = withoutBrackets(registry.replace(/:\d+$/, ''))
  const networks = networksOf(hosts.insecure)
  if (networks === undefined) return said
  const addresses = isIP(hostname) === 0 ? await resolve(hostname) : [hostname]
  // All of them: one address in the network would be enough for whoever can add one to the name.
  const inside = addresses.length > 0 && addresses.every((one) => contains(networks, one))
  return inside ? 'insecure' : said
}

function contains(networks: BlockList, address: string): boolean {
  return networks.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

/** @returns undefined where there are none, so that no name is looked up for nothing */
function networksOf(listed: readonly string[]): BlockList | undefined {
  const networks = new BlockList()
  let count = 0
  for (const entry of listed) {
    const [address = '', bits] = entry.split('/')
    const family = isIP(address)
    const width = family === 6 ? 128 : 32
    if (bits === undefined || family === 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > width) continue
    networks.addSubnet(address, Number(bits), family === 6 ? 'ipv6' : 'ipv4')
    count++
  }
  return count === 0 ? undefined : networks
}
