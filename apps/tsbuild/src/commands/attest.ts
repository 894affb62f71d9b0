import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { UserError } from '@tsbuild/errors'
import { parseJson } from '@tsbuild/shape'
import { Command } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { addCosignFlags, type CosignFlags, refuseLog } from '../signatures/cosign-flags.ts'
import { readKey } from '../signatures/read-key.ts'
import { withBuilder } from '../with-builder.ts'

interface AttestFlags extends GlobalFlags, CosignFlags {
  readonly key: string
  readonly predicate: string
  readonly type: string
  readonly referrers?: true
}

/** `tsbuild attest --key KEY --predicate FILE --type TYPE IMAGE`: prints the image by its digest. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = attestCommand()
  parseArguments(command, argv)
  const flags = command.opts<AttestFlags>()
  refuseLog(flags)
  const predicate = await readPredicate(flags.predicate, host)
  const key = await readKey(flags.key, host)
  await withBuilder(flags, host, async (builder, signal) => {
    const [image = ''] = command.args
    const { type: predicateType, referrers } = flags
    const made = await builder.attestImage({ image, key, predicateType, predicate, referrers, signal })
    host.stdout.write(`${made.image}\n`)
  })
  return exitCodes.success
}

/** The text of `tsbuild attest --help`. */
export function help(): string {
  return helpText(attestCommand())
}

async function readPredicate(path: string, { cwd }: Host): Promise<unknown> {
  const written = await readFile(resolve(cwd, path), 'utf8').catch((cause) => {
    throw new UserError('ERR_USAGE', `Cannot read file "${path}" of --predicate`, { cause })
  })
  const predicate = parseJson(written)
  if (predicate !== undefined) return predicate
  throw new UserError('ERR_USAGE', `Cannot use file "${path}" of --predicate: it is not JSON`)
}

function attestCommand(): Command {
  const command = new Command('tsbuild attest')
    .usage('--key KEY --predicate FILE --type TYPE [flags] IMAGE')
    .description('Says something about an image of a registry and signs it, as `cosign attest --key` does.')
    .argument('<IMAGE>', 'NAME@DIGEST; of NAME:TAG what it means now')
    .requiredOption('--key <key>', 'A private key file, or `env://NAME`')
    .requiredOption('--predicate <file>', 'What is said: a JSON file')
    .requiredOption('--type <type>', 'slsaprovenance1, spdxjson, cyclonedx, vuln, custom …, or a URI')
    .option('--referrers', 'Store it as a referrer (OCI 1.1) instead of under a tag')
  return addGlobalFlags(addCosignFlags(command))
}
