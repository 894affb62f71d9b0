import { UserError } from '@tsbuild/errors'
import type { Descriptor, Index, Platform } from './types.ts'

/** No real image is for as many. */
const mostShown = 20
const part = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/
/** Those of Go's ports: what stands alone has to be one of them. */
const knownSystems = new Set(
  (
    'aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasi wasip1 ' +
    'windows zos'
  ).split(' '),
)
const knownArchitectures = new Set(
  (
    '386 amd64 amd64p32 arm arm64 arm64be armbe loong64 mips mips64 mips64le mips64p32 mips64p32le mipsle ppc ' +
    'ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm'
  ).split(' '),
)

/** A variant that an alias has is that of the alias, whatever is written behind it. */
const architectureAliases: ReadonlyMap<string, readonly [architecture: string, variant?: string]> = new Map([
  ['i386', ['386', '']],
  ['x86_64', ['amd64']],
  ['x86-64', ['amd64']],
  ['aarch64', ['arm64']],
  ['armhf', ['arm', 'v7']],
  ['armel', ['arm', 'v6']],
])

const nodeArchitectures: ReadonlyMap<string, string> = new Map([
  ['x64', 'amd64'],
  ['ia32', '386'],
  ['arm', 'arm'],
  ['arm64', 'arm64'],
  ['loong64', 'loong64'],
  ['mips64el', 'mips64le'],
  ['ppc64', 'ppc64le'],
  ['riscv64', 'riscv64'],
  ['s390x', 's390x'],
])

/**
 * Parses a platform as users write it: `linux/arm64`, `linux/arm/v7`, `linux`, `arm64`. What the usual variant is stays as it
 * was written: see {@link normalizePlatform}.
 *
 * @param host gives what is left out
 * @throws {UserError} `ERR_PLATFORM_INVALID`
 * @see https://github.com/containerd/platforms, `Parse`
 */
export function parsePlatform(text: string, host?: Platform): Platform {
  const parts = text.split('/')
  if (parts.length > 3 || !parts.every((item) => part.test(item))) {
    throw invalidPlatform(text, 'expected os/architecture or os/architecture/variant')
  }
  const [first = '', architecture, variant] = parts
  if (architecture !== undefined) return withArchitecture(systemName(first), architecture, variant)
  if (knownSystems.has(systemName(first))) {
    if (host === undefined) throw invalidPlatform(text, 'expected an architecture after the system')
    return { ...host, os: systemName(first) }
  }
  if (host === undefined) throw invalidPlatform(text, 'expected a system before the architecture')
  const platform = withArchitecture(host.os, first, undefined)
  if (knownArchitectures.has(platform.architecture)) return platform
  throw invalidPlatform(text, 'it is neither a system nor an architecture that is known')
}

/** The text form: `os/architecture` and the variant where there is one. */
export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = platform
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`
}

/** Platforms for a message; of very many the first ones. */
export function formatPlatforms(platforms: readonly Platform[]): string {
  const shown = platforms.slice(0, mostShown).map(formatPlatform).join(', ')
  const left = platforms.length - mostShown
  return left > 0 ? `${shown} and ${left} others` : shown
}

/**
 * The platform of a Linux machine, from Node's name for its processor.
 *
 * @throws {UserError} `ERR_PLATFORM_INVALID` for a processor that no image is for
 */
export function hostPlatform(processArch: string): Platform {
  const architecture = nodeArchitectures.get(processArch)
  if (architecture === undefined) throw invalidPlatform(processArch, 'this processor has no OCI name')
  return { os: 'linux', architecture }
}

/** The form in which platforms are compared: aliases resolved, the variants that mean "the usual one" taken away. */
export function normalizePlatform(platform: Platform): Platform {
  const [architecture, variant] = canonicalArchitecture(platform.architecture, platform.variant)
  return { os: systemName(platform.os), architecture, variant, osVersion: platform.osVersion }
}

/**
 * Every platform whose images run where `wanted` is asked for, best first: an arm/v7 machine runs v6 and v5, an
 * amd64/v3 one v2, plain amd64 and 386, an arm64/v9 one v8.5 and what is below.
 *
 * @see https://github.com/containerd/platforms, `Only`
 */
export function compatiblePlatforms(wanted: Platform): readonly Platform[] {
  const { os, architecture, variant } = normalizePlatform(wanted)
  const of = (name: string, versions: readonly string[]) =>
    versions.map(
      (version): Platform => normalizePlatform({ os, architecture: name, variant: version || undefined }),
    )
  if (architecture === 'amd64') return [...of('amd64', versionsDown(variant ?? 'v1', 1)), ...of('386', [''])]
  if (architecture === 'arm') return of('arm', versionsDown(variant ?? 'v7', 5))
  if (architecture === 'arm64') {
    return [...of('arm64', arm64Versions(variant ?? 'v8')), ...of('arm', versionsDown('v8', 5))]
  }
  return of(architecture, [variant ?? ''])
}

/**
 * Finds the manifest of an index that serves a platform best; attestations are never chosen. An entry that does not say
 * its platform is chosen last: only its config can tell.
 *
 * @returns undefined if there is none
 */
export function selectPlatform(index: Index, wanted: Platform): Descriptor | undefined {
  const images = index.manifests.filter((entry) => !isAttestation(entry))
  for (const candidate of compatiblePlatforms(wanted)) {
    const found = images.find(
      (entry) => entry.platform !== undefined && samePlatform(entry.platform, candidate),
    )
    if (found !== undefined) return found
  }
  return images.find((entry) => entry.platform === undefined)
}

/** The platforms that an index has images for, in its order, without attestations. */
export function listPlatforms(index: Index): readonly Platform[] {
  return index.manifests.flatMap((entry) =>
    entry.platform === undefined || isAttestation(entry) ? [] : [entry.platform],
  )
}

/** Whether two platforms are the same one when both are normalised. The version of the system does not count. */
export function samePlatform(a: Platform, b: Platform): boolean {
  const [x, y] = [normalizePlatform(a), normalizePlatform(b)]
  return x.os === y.os && x.architecture === y.architecture && x.variant === y.variant
}

/** Whether an image whose config says `image` serves where `wanted` is asked for. Many images do not say their variant. */
export function runsFor(image: Platform, wanted: Platform): boolean {
  if (image.os === '' || image.architecture === '') return true
  return compatiblePlatforms(wanted).some((candidate) =>
    image.variant === undefined
      ? systemName(image.os) === candidate.os &&
        canonicalArchitecture(image.architecture, undefined)[0] === candidate.architecture
      : samePlatform(image, candidate),
  )
}

/** Whether an index entry is a statement about an image and no image: BuildKit's provenance and SBOM. */
export function isAttestation(entry: Descriptor): boolean {
  if (entry.annotations?.['vnd.docker.reference.type'] !== undefined) return true
  return entry.platform?.os === 'unknown' && entry.platform.architecture === 'unknown'
}

function withArchitecture(os: string, written: string, variant: string | undefined): Platform {
  const [architecture, normal] = canonicalArchitecture(written, variant)
  // What the user wrote stays visible in TARGETPLATFORM and in paths, as with BuildKit.
  const kept = architecture === 'arm64' && variant !== undefined ? (normal ?? 'v8') : normal
  if (architecture === 'arm' && variant === undefined && written === 'arm') return { os, architecture }
  return kept === undefined ? { os, architecture } : { os, architecture, variant: kept }
}

function canonicalArchitecture(
  written: string,
  writtenVariant: string | undefined,
): readonly [architecture: string, variant: string | undefined] {
  const lower = written.toLowerCase()
  const [architecture, impliedVariant] = architectureAliases.get(lower) ?? [lower]
  const lowerVariant = (impliedVariant ?? writtenVariant ?? '').toLowerCase()
  const variant = /^[0-9]/.test(lowerVariant) ? `v${lowerVariant}` : lowerVariant
  if (architecture === 'amd64')
    return [architecture, variant === 'v1' || variant === '' ? undefined : variant]
  if (architecture === 'arm64')
    return [architecture, variant === 'v8' || variant === '' ? undefined : variant]
  if (architecture === 'arm') return [architecture, variant === '' ? 'v7' : variant]
  return [architecture, variant === '' ? undefined : variant]
}

/** `v3` down to `v1`; a variant that is no plain version stands alone. */
function versionsDown(variant: string, lowest: number): readonly string[] {
  const match = /^v([0-9]{1,2})$/.exec(variant)
  if (match === null) return [variant]
  const highest = Number(match[1])
  if (highest < lowest) return [variant]
  return Array.from({ length: highest - lowest + 1 }, (_, index) => `v${highest - index}`)
}

/** As {@link versionsDown} with minor versions. Version 9.0 is a version 8.5 with more, and 9.x an 8.(x+5). */
function arm64Versions(variant: string): readonly string[] {
  const match = /^v([89])(?:\.([0-9]))?$/.exec(variant)
  if (match === null) return [variant]
  const minor = Number(match[2] ?? 0)
  const below = (major: 8 | 9, from: number) =>
    Array.from({ length: from + 1 }, (_, index) =>
      index === from ? `v${major}` : `v${major}.${from - index}`,
    )
  return match[1] === '9' ? [...below(9, minor), ...below(8, minor + 5)] : below(8, minor)
}

function systemName(text: string): string {
  const lower = text.toLowerCase()
  return lower === 'macos' ? 'darwin' : lower
}

function invalidPlatform(text: string, rule: string): UserError {
  return new UserError('ERR_PLATFORM_INVALID', `Cannot parse platform ${JSON.stringify(text)}: ${rule}`, {
    hints: ['Platforms are written as linux/amd64, linux/arm64 or linux/arm/v7.'],
  })
}
