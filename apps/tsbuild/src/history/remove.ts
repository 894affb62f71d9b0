import type { Builder, RemovedBuild } from '@tsbuild/builder'
import { parseAge } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'
import { Command } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import type { CommandModule } from '../commands.ts'
import { exitCodes } from '../exit-code.ts'
import { withBuilder } from '../with-builder.ts'

interface RemoveFlags extends GlobalFlags {
  readonly all?: true
  readonly olderThan?: string
}

/** `tsbuild history rm`: prints the refs that went. */
export const remove: CommandModule = {
  async run(argv, host) {
    const command = removeCommand()
    parseArguments(command, argv)
    const flags = command.opts<RemoveFlags>()
    const which = selectionOf(flags, command.args)
    const removed = await withBuilder(flags, host, (builder: Builder) => builder.removeBuilds(which))
    for (const { ref, removal } of removed) if (removal === 'removed') host.stdout.write(`${ref}\n`)
    if ('refs' in which) refuseInUse(removed)
    return exitCodes.success
  },
  help: () => helpText(removeCommand()),
}

function removeCommand(): Command {
  const command = new Command('tsbuild history rm')
    .usage('[flags] REF... | --all | --older-than AGE')
    .description(
      'Takes builds out of the history, with their logs. The cache and images stay. A build that runs, or that somebody reads, stays.',
    )
    .argument('[REF...]', 'of `tsbuild history ls`: a beginning is enough; `^1` is the one before the newest')
    .option('--all', 'All of them')
    .option('--older-than <age>', 'Those that ended before: `12h`, `30d`, `1w`')
  return addGlobalFlags(command)
}

function selectionOf({ all, olderThan }: RemoveFlags, refs: readonly string[]) {
  const ways = [all === true, olderThan !== undefined, refs.length > 0].filter((given) => given)
  if (ways.length !== 1)
    throw new UserError(
      'ERR_USAGE',
      'Cannot choose builds to remove: expected exactly one of refs, --all and --older-than',
    )
  if (refs.length > 0) return { refs }
  return olderThan === undefined
    ? ({ all: true } as const)
    : { olderThanMs: parseAge('--older-than', olderThan) }
}

/** Who named it wants to know. */
function refuseInUse(removed: readonly RemovedBuild[]): void {
  const kept = removed.find(({ removal }) => removal === 'in-use')
  if (kept === undefined) return
  throw new UserError('ERR_BUILD_IN_USE', `Cannot remove build "${kept.ref}": it runs, or somebody reads it`)
}
