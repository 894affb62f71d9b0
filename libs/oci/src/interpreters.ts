import { formatPlatform, parsePlatform } from './platform.ts'
import type { Platform } from './types.ts'

/** The platforms that an emulator of `qemu-user` runs, by the last part of its name. */
const emulated: ReadonlyMap<string, readonly string[]> = new Map([
  ['aarch64', ['linux/arm64']],
  ['arm', ['linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5']],
  ['i386', ['linux/386']],
  ['loongarch64', ['linux/loong64']],
  ['mips64', ['linux/mips64']],
  ['mips64el', ['linux/mips64le']],
  ['ppc64le', ['linux/ppc64le']],
  ['riscv64', ['linux/riscv64']],
  ['s390x', ['linux/s390x']],
  ['x86_64', ['linux/amd64']],
])

/** A program that the kernel runs foreign programs with: an entry of binfmt_misc. */
export interface RegisteredInterpreter {
  /** As registered: `qemu-aarch64`. */
  readonly name: string
  /** It works in an image that lacks it (flag F). */
  readonly fixed: boolean
}

/**
 * The platforms that registered interpreters make possible, each once, in the order of their text. One that only works where
 * the image has it (no flag F) counts as none.
 *
 * @see https://docs.kernel.org/admin-guide/binfmt-misc.html
 */
export function platformsOf(interpreters: readonly RegisteredInterpreter[]): readonly Platform[] {
  const platforms = new Set(
    interpreters.flatMap(({ name, fixed }) => {
      const [, machine = ''] = /^qemu-(\w+?)(?:-static)?$/.exec(name) ?? []
      return fixed ? (emulated.get(machine) ?? []) : []
    }),
  )
  return [...platforms].toSorted().map((platform) => parsePlatform(platform))
}

/** The name of the emulator for a platform, as distributions register it; undefined where none is known. */
export function interpreterOf(platform: Platform): string | undefined {
  const wanted = formatPlatform(platform).replace(/^(linux\/arm64)\/v\d+$/, '$1')
  const found = [...emulated].find(
    ([, platforms]) =>
      platforms.includes(wanted) || (wanted === 'linux/arm' && platforms[0] === 'linux/arm/v7'),
  )
  return found === undefined ? undefined : `qemu-${found[0]}`
}
