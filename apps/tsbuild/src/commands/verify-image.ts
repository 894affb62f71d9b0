import type { VerifiedImageReport } from '@tsbuild/builder'
import { oneOf, visible } from '@tsbuild/command-line'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import {
  addCosignFlags,
  annotationOption,
  type CosignFlags,
  readAnnotations,
} from '../signatures/cosign-flags.ts'
import { readKey } from '../signatures/read-key.ts'
import { withBuilder } from '../with-builder.ts'

interface VerifyImageFlags extends GlobalFlags, CosignFlags {
  readonly key: string
  readonly annotations?: readonly string[]
  readonly type?: string
  readonly format: 'text' | 'json'
}

/** `tsbuild verify-image --key PUBLIC IMAGE...`: ends with 0 only if every image is signed. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = verifyImageCommand()
  parseArguments(command, argv)
  const flags = command.opts<VerifyImageFlags>()
  const annotations = readAnnotations(flags.annotations ?? [])
  const key = await readKey(flags.key, host)
  await withBuilder(flags, host, async (builder, signal) => {
    for (const image of command.args) {
      const options = { image, key, annotations, predicateType: flags.type, cwd: host.cwd, signal }
      const report = await builder.verifyImage(options)
      host.stdout.write(flags.format === 'json' ? `${JSON.stringify(report)}\n` : reportText(report))
    }
  })
  return exitCodes.success
}

/** The text of `tsbuild verify-image --help`. */
export function help(): string {
  return helpText(verifyImageCommand())
}

/** The name by digest first: it is what the signatures are about, and what to go on with. */
function reportText({ image, signatures = [], attestations = [] }: VerifiedImageReport): string {
  const signed = signatures.map(({ identity, annotations }) => {
    const stated = Object.entries(annotations).map(([name, value]) => `, ${name}=${String(value)}`)
    return `  signed as ${identity}${stated.join('')}`
  })
  const attested = attestations.map(({ predicateType }) => `  attested: ${predicateType}`)
  return `${[image, ...signed, ...attested].map((line) => visible(line)).join('\n')}\n`
}

function verifyImageCommand(): Command {
  const command = new Command('tsbuild verify-image')
    .usage('--key PUBLIC [flags] IMAGE...')
    .description(
      'Verifies that images are signed with a key, as `cosign verify --key` does. Ends with 1 where one is not.',
    )
    .argument('<IMAGE...>', 'NAME:TAG or NAME@DIGEST of a registry, or `store:NAME`, `oci:DIR:TAG`')
    .requiredOption('--key <key>', 'The public key file, or `env://NAME`')
    .addOption(annotationOption('`NAME=VALUE` that the signature must state; repeatable'))
    .option(
      '--type <type>',
      'Verify attestations of this type instead: spdxjson, slsaprovenance1 …, or a URI',
    )
    .addOption(
      new Option('--format <format>', 'text, or json: a line for each image')
        .default('text')
        .argParser(oneOf('--format', ['text', 'json'])),
    )
  return addGlobalFlags(addCosignFlags(command))
}
