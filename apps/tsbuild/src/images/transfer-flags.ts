import { collect, oneOf } from '@tsbuild/command-line'
import { type Command, Option } from 'commander'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { type ProgressMode, progressModes } from '../progress/mode.ts'

/** Flags of commands that move images. */
export interface TransferFlags extends GlobalFlags {
  readonly progress?: ProgressMode
  readonly quiet?: true
}

/** Flags that say which images of an index are meant. */
export interface PlatformFlags {
  readonly platform?: readonly string[]
}

/** Adds the flags of progress and the global ones. */
export function addTransferFlags(command: Command): Command {
  command
    .addOption(
      new Option('--progress <mode>', progressModes.join(', ')).argParser(oneOf('--progress', progressModes)),
    )
    .option('-q, --quiet', 'Print nothing but the result')
  return addGlobalFlags(command)
}

/** Adds `--platform`, repeatable and with commas. */
export function addPlatformFlag(command: Command, what: string): Command {
  return command.addOption(new Option('--platform <platform>', what).argParser(collect))
}

/** The platforms of `--platform`; undefined where there is none. */
export function platformList({ platform }: PlatformFlags): readonly string[] | undefined {
  return platform?.flatMap((list) => list.split(',')).filter((name) => name !== '')
}
