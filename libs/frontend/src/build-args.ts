import { formatPlatform, type Platform } from '@tsbuild/oci'

/** Names that need no ARG. Both cases are given to RUN. @see spec/dockerfile.md 1.4 */
const proxyNames = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY']

/**
 * Build arguments that mean something to the builder itself, or did so to BuildKit; docs/reference/build-args.md says what
 * each one does here.
 */
export const builderArgs = [
  'BUILDKIT_BUILD_NAME',
  'BUILDKIT_CACHE_MOUNT_NS',
  'BUILDKIT_CONTEXT_KEEP_GIT_DIR',
  'BUILDKIT_DISABLE_FILEOP',
  'BUILDKIT_DOCKERFILE_CHECK',
  'BUILDKIT_INLINE_BUILDINFO_ATTRS',
  'BUILDKIT_INLINE_CACHE',
  'BUILDKIT_MULTI_PLATFORM',
  'BUILDKIT_SANDBOX_HOSTNAME',
  'BUILDKIT_SBOM_SCAN_CONTEXT',
  'BUILDKIT_SBOM_SCAN_STAGE',
  'BUILDKIT_SYNTAX',
  'SOURCE_DATE_EPOCH',
] as const

const known = new Set<string>([...builderArgs, 'TARGETSTAGE'])

/** The platform arguments of the global scope. @see spec/dockerfile.md 1.4 */
export function platformArgs(target: Platform, build: Platform): ReadonlyMap<string, string> {
  const args = new Map<string, string>()
  for (const [prefix, platform] of [
    ['TARGET', target],
    ['BUILD', build],
  ] as const) {
    args.set(`${prefix}PLATFORM`, formatPlatform(platform))
    args.set(`${prefix}OS`, platform.os)
    args.set(`${prefix}ARCH`, platform.architecture)
    args.set(`${prefix}VARIANT`, platform.variant ?? '')
    args.set(`${prefix}OSVERSION`, platform.osVersion ?? '')
  }
  return args
}

/** Whether a build argument needs no ARG to have an effect, or to be known as one that has none. */
export function isPredefined(name: string): boolean {
  if (known.has(name) || isProxy(name)) return true
  return /^(?:TARGET|BUILD)(?:PLATFORM|OS|OSVERSION|ARCH|VARIANT)$/.test(name)
}

/** Whether a name is one of the proxy arguments, in capitals or in lower case. */
export function isProxy(name: string): boolean {
  return proxyNames.some((proxy) => name === proxy || name === proxy.toLowerCase())
}

/** A build argument as given; undefined when it is not, whatever its name is (`constructor`). */
export function buildArgOf(buildArgs: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.hasOwn(buildArgs, name) ? buildArgs[name] : undefined
}

/** The proxy variables among build arguments, in both cases. A step that declares one gets its own value in that place. */
export function proxyEnvironment(buildArgs: Readonly<Record<string, string>>): readonly string[] {
  const result: string[] = []
  for (const name of proxyNames) {
    const value = buildArgOf(buildArgs, name) ?? buildArgOf(buildArgs, name.toLowerCase())
    if (value === undefined) continue
    result.push(`${name}=${value}`, `${name.toLowerCase()}=${value}`)
  }
  return result
}
