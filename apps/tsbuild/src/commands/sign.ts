import { visible } from '@tsbuild/command-line'
import { Command } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import {
  addCosignFlags,
  annotationOption,
  type CosignFlags,
  readAnnotations,
  refuseLog,
} from '../signatures/cosign-flags.ts'
import { readKey } from '../signatures/read-key.ts'
import { withBuilder } from '../with-builder.ts'

interface SignFlags extends GlobalFlags, CosignFlags {
  readonly key: string
  readonly annotations?: readonly string[]
  readonly recursive?: true
  readonly referrers?: true
}

/** `tsbuild sign --key KEY IMAGE...`: prints each image that is signed now, by its digest. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = signCommand()
  parseArguments(command, argv)
  const flags = command.opts<SignFlags>()
  refuseLog(flags)
  const annotations = readAnnotations(flags.annotations ?? [])
  const key = await readKey(flags.key, host)
  // Of several images each would ask.
  let password: Promise<string> | undefined
  const askOnce = () => {
    password ??= key.password?.() ?? Promise.resolve('')
    return password
  }
  await withBuilder(flags, host, async (builder, signal) => {
    for (const image of command.args) {
      const { recursive, referrers } = flags
      const options = { image, key: { ...key, password: askOnce }, annotations, recursive, referrers, signal }
      for (const signed of await builder.signImage(options)) {
        host.stdout.write(`${signed.image}\n`)
        if (!signed.added) host.stderr.write(`Note: ${visible(signed.image)} has this signature already\n`)
      }
    }
  })
  return exitCodes.success
}

/** The text of `tsbuild sign --help`. */
export function help(): string {
  return helpText(signCommand())
}

function signCommand(): Command {
  const command = new Command('tsbuild sign')
    .usage('--key KEY [flags] IMAGE...')
    .description('Signs images of a registry by their digests, as `cosign sign --key` does.')
    .argument('<IMAGE...>', 'NAME@DIGEST; of NAME:TAG what it means now')
    .requiredOption('--key <key>', 'A private key file, or `env://NAME`')
    .addOption(annotationOption('`NAME=VALUE` to state with the signature; repeatable'))
    .option('-r, --recursive', 'Sign the images of an index, too')
    .option('--referrers', 'Store the signature as a referrer (OCI 1.1) instead of under a tag')
  return addGlobalFlags(addCosignFlags(command))
}
