import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { EnvironmentError, UserError } from '@tsbuild/errors'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { askPassword } from '../signatures/ask-password.ts'

interface KeyPairFlags {
  readonly outputKeyPrefix: string
}

/** `tsbuild generate-key-pair`: writes `cosign.key` and `cosign.pub`, and never over a file. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = keyPairCommand()
  parseArguments(command, argv)
  const { outputKeyPrefix: prefix } = command.opts<KeyPairFlags>()
  const password = await askPassword('Password for the private key: ', host)
  const isTyped = host.env.COSIGN_PASSWORD === undefined && host.stdin.isTTY === true
  if (isTyped && (await askPassword('The same again: ', host)) !== password)
    throw new UserError('ERR_SIGNATURE_KEY', 'Cannot make a key pair: the two passwords differ')
  const { generateSigningKeyPair } = await import('@tsbuild/builder')
  const { privateKey, publicKey } = await generateSigningKeyPair(password)
  await write(host, `${prefix}.key`, privateKey, 0o600)
  await write(host, `${prefix}.pub`, publicKey, 0o644)
  return exitCodes.success
}

/** The text of `tsbuild generate-key-pair --help`. */
export function help(): string {
  return helpText(keyPairCommand())
}

async function write({ cwd, stdout }: Host, name: string, text: string, mode: number): Promise<void> {
  try {
    await writeFile(resolve(cwd, name), text, { mode, flag: 'wx' })
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')
      throw new UserError('ERR_SIGNATURE_KEY', `Cannot write "${name}": it is there already`, {
        cause,
        hints: ['A key that is lost cannot be made again. Move it away, or use --output-key-prefix.'],
      })
    throw new EnvironmentError('ERR_OUTPUT', `Cannot write "${name}"`, { cause })
  }
  stdout.write(`${name}\n`)
}

function keyPairCommand(): Command {
  return new Command('tsbuild generate-key-pair')
    .usage('[flags]')
    .description(
      'Makes a key pair for signatures, in the form that cosign reads: the private key encrypted with a password (COSIGN_PASSWORD, or asked for).',
    )
    .addOption(
      new Option('--output-key-prefix <prefix>', 'The files are PREFIX.key and PREFIX.pub').default('cosign'),
    )
}
