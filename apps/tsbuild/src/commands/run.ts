import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { collect, keyValues, oneOf } from '../argv/values.ts'
import type { Host } from '../host.ts'
import { withBuilder } from '../with-builder.ts'

interface RunFlags extends GlobalFlags {
  readonly entrypoint?: string
  readonly env?: readonly string[]
  readonly user?: string
  readonly workdir?: string
  readonly network?: 'none' | 'host'
}

/** `tsbuild run IMAGE [ARGS...]`: the exit code is the program's. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = runCommand()
  parseArguments(command, argv)
  const flags = command.opts<RunFlags>()
  const [image = '', ...args] = command.args
  const { entrypoint, user, workdir, network } = flags
  return await withBuilder(flags, host, (builder, signal) =>
    builder.runImage({
      image,
      ...(args.length === 0 ? {} : { args }),
      ...(entrypoint === undefined ? {} : { entrypoint: entrypoint === '' ? [] : [entrypoint] }),
      env: keyValues('--env', flags.env ?? [], (name) => host.env[name]),
      ...(user === undefined ? {} : { user }),
      ...(workdir === undefined ? {} : { workdir }),
      ...(network === undefined ? {} : { network }),
      signal,
    }),
  )
}

/** The text of `tsbuild run --help`. */
export function help(): string {
  return helpText(runCommand())
}

function runCommand(): Command {
  const command = new Command('tsbuild run')
    .usage('[flags] IMAGE [ARGS...]')
    .description("Runs an image's program in a throw-away copy of the image.")
    .argument('<IMAGE>', 'a local image, for example `app:1.0`')
    .argument('[ARGS...]', "replace the image's CMD; flags go before IMAGE")
    .passThroughOptions()
    .option('--entrypoint <program>', "Replaces the image's ENTRYPOINT")
    .addOption(
      new Option('-e, --env <variable>', '`NAME=value`, or `NAME` of the environment; repeatable').argParser(
        collect,
      ),
    )
    .option('-u, --user <user>', 'Runs as `name` or `uid[:gid]`')
    .option('-w, --workdir <dir>', 'Runs in this directory')
    .addOption(new Option('--network <mode>', 'none or host').argParser(oneOf('--network', ['none', 'host'])))
    // What people type for `docker run`: the program has our own terminal, and its copy is always thrown away.
    .addOption(new Option('--rm').hideHelp())
    .addOption(new Option('-i, --interactive').hideHelp())
    .addOption(new Option('-t, --tty').hideHelp())
  return addGlobalFlags(command)
}
