import { lstat, writeFile } from 'node:fs/promises'
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
  const names = [`${prefix}.key`, `${prefix}.pub`] as const
  // Half a pair would be worse than none.
  for (const name of names) await refuseIfThere(name, host)
  const password = await askPassword('Password for the private key: ', host)
  const isTyped = host.env.COSIGN_PASSWORD === undefined && host.stdin.isTTY === true
  if (isTyped && (await askPassword('The same again: ', host)) !== password)
    throw new UserError('ERR_SIGNATURE_KEY', 'Cannot make a key pair: the two passwords differ')
  const { generateSigningKeyPair } = await import('@tsbuild/builder')
  const { privateKey, publicKey } = await generateSigningKeyPair(password)
  await write(host, names[0], privateKey, 0o600)
  await write(host, names[1], publicKey, 0o644)
  return exitCodes.success
}

/** The text of `tsbuild generate-key-pair --help`. */
export function help(): string {
  return helpText(keyPairCommand())
}

async function refuseIfThere(name: string, { cwd }: Host): Promise<void> {
  const there = await lstat(resolve(cwd, name)).then(
    () => true,
    () => false,
  )
  if (there) throw alreadyThere(name)
}

async function write({ cwd, stdout }: Host, name: string, text: string, mode: number): Promise<void> {
  try {
    await writeFile(resolve(cwd, name), text, { mode, flag: 'wx' })
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') throw alreadyThere(name)
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new EnvironmentError('ERR_OUTPUT', `Cannot write "${name}": ${reason}`, { cause })
  }
  stdout.write(`${name}\n`)
}

function alreadyThere(name: string): UserError {
  return new UserError('ERR_SIGNATURE_KEY', `Cannot write "${name}": it is there already`, {
    hints: ['A key that is lost cannot be made again. Move it away, or use --output-key-prefix.'],
  })
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
