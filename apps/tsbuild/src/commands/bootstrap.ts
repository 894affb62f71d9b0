import { collect, oneOf } from '@tsbuild/command-line'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { withBuilder } from '../with-builder.ts'

const variants = ['minbase', 'apt', 'essential', 'standard'] as const

interface BootstrapFlags extends GlobalFlags {
  readonly package?: readonly string[]
  readonly variant?: (typeof variants)[number]
  readonly platform?: string
  readonly force?: true
  readonly quiet?: true
}

/** `tsbuild bootstrap IMAGE`: prints the name and the image id. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = bootstrapCommand()
  parseArguments(command, argv)
  const flags = command.opts<BootstrapFlags>()
  const image = await withBuilder(flags, host, (builder, signal) =>
    builder.bootstrap({
      image: command.args[0] ?? '',
      packages: (flags.package ?? []).flatMap((list) => list.split(',')).filter((name) => name !== ''),
      ...(flags.variant === undefined ? {} : { variant: flags.variant }),
      ...(flags.platform === undefined ? {} : { platform: flags.platform }),
      force: flags.force === true,
      ...(flags.quiet === true ? {} : { onLog: (text: string) => void host.stderr.write(text) }),
      signal,
    }),
  )
  host.stdout.write(`${image.name} ${image.configDigest}\n`)
  return exitCodes.success
}

/** The text of `tsbuild bootstrap --help`. */
export function help(): string {
  return helpText(bootstrapCommand())
}

function bootstrapCommand(): Command {
  const command = new Command('tsbuild bootstrap')
    .usage('[flags] IMAGE')
    .description("Makes a base image from a distribution's own packages, without a registry.")
    .argument('<IMAGE>', 'for example `debian:bookworm`')
    .addOption(new Option('--package <name>', 'A package to add; repeatable').argParser(collect))
    .addOption(
      new Option('--variant <variant>', `${variants.join(', ')} (default: minbase)`).argParser(
        oneOf('--variant', variants),
      ),
    )
    .option('--platform <platform>', "What it is for, for example linux/arm64 (default: this machine's own)")
    .option('--force', 'Make the image again although it is there')
    .option('-q, --quiet', 'Show no progress')
  return addGlobalFlags(command)
}
