import type { SpaceLimit } from '@tsbuild/builder'
import { collect, oneOf } from '@tsbuild/command-line'
import { type Command, Option } from 'commander'
import { parseRegistryName } from '../registry-name.ts'

/** What the flags of every command say. */
export interface GlobalFlags {
  readonly root?: string
  readonly trustCa?: readonly string[]
  readonly insecureRegistry?: readonly string[]
  readonly scope?: string
  readonly durability?: 'full' | 'none'
  /** Of a build. */
  readonly maxUsedSpace?: SpaceLimit
  readonly debug?: true
}

/** What the flags say of commands that talk to a registry and open no store. */
export type RegistryFlags = Pick<GlobalFlags, 'trustCa' | 'insecureRegistry' | 'debug'>

const storeFlags = (): readonly Option[] => [
  new Option(
    '--root <dir>',
    'Where images and the cache are kept (default: TSBUILD_ROOT, else /var/lib/tsbuild or ~/.local/share/tsbuild)',
  ),
  new Option(
    '--scope <name>',
    'Who is trusted with cache mounts, `main` or such as `pr/7` (default: TSBUILD_SCOPE, else main)',
  ),
  new Option(
    '--durability <how>',
    '`none` gives up power-loss safety of the cache (default: TSBUILD_DURABILITY, else full)',
  ).argParser(oneOf('--durability', ['full', 'none'])),
]

const trustFlags = (): readonly Option[] => [
  new Option(
    '--trust-ca <file>',
    'PEM certificates to trust in downloads and RUN steps, or `host`; repeatable',
  ).argParser(collect),
  new Option(
    '--insecure-registry <host[:port]>',
    'A registry to reach over plain HTTP, or with any certificate; repeatable',
  ).argParser((value, previous) => collect(parseRegistryName(value), previous)),
]

const debugFlag = () => new Option('-D, --debug', 'Show stacks of errors')

/** Adds the flags that every command has which opens the store. */
export function addGlobalFlags(command: Command): Command {
  const [root, ...others] = storeFlags()
  const group = 'Store, trust and troubleshooting:'
  for (const flag of [...(root === undefined ? [] : [root]), ...trustFlags(), ...others, debugFlag()]) {
    command.addOption(flag.helpGroup(group))
  }
  return command
}

/** Adds the flags of a command that talks to a registry and opens no store. */
export function addRegistryFlags(command: Command): Command {
  const group = 'Trust and troubleshooting:'
  for (const flag of [...trustFlags(), debugFlag()]) command.addOption(flag.helpGroup(group))
  return command
}
