import { randomUUID } from 'node:crypto'
import { collect, exitCodes, helpText, parseArguments, visible } from '@tsbuild/command-line'
import { mintToken } from '@tsbuild/trust'
import { Command } from 'commander'
import type { Host } from '../host.ts'
import { openKeyRing } from '../keys/key-ring.ts'
import { addSettingFlags, settingsOf } from '../settings/setting-flags.ts'
import { claimsOf, type TokenFlags } from '../tokens/claims.ts'
import { directoryOf } from '../with-store.ts'

/** `cache-server token create`: prints a token, and what it permits to standard error. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = createCommand()
  parseArguments(command, argv)
  const claims = claimsOf(command.opts<TokenFlags>(), randomUUID())
  const settings = await settingsOf(command, host)
  const dir = directoryOf(settings)
  const { keys, isNew } = await openKeyRing(dir)
  const [key] = keys
  const token = await mintToken(key, claims, host.now())
  host.stdout.write(`${token}\n`)
  const ends = new Date(host.now() + claims.ttl * 1000).toISOString()
  const { read, write = 'nothing', operations, id, subject } = claims
  // Of a directory that was meant to be another one nobody would believe the token.
  if (isNew) host.stderr.write(visible(`There was no key in ${dir}: a new one was made\n`))
  host.stderr.write(
    visible(
      `${subject}: ${operations.join(', ')}; writes ${write}; reads ${read.join(', ') || 'no scope'}\nEnds ${ends}; \`cache-server token revoke ${id}\` ends it before\n`,
    ),
  )
  return exitCodes.success
}

/** The text of `cache-server token create --help`. */
export function help(): string {
  return helpText(createCommand())
}

function createCommand(): Command {
  const command = new Command('cache-server token create')
    .usage('--dir DIR --scope SCOPE [flags]')
    .description('Makes a token with the key in the directory, and prints it. The server need not run.')
    .option('--scope <scope>', 'The one scope that it writes: `acme/app:ref/main`')
    .option(
      '--read <scope>',
      'A scope that it reads, in this order; repeatable (default: what it writes, and `ref/main` of that project)',
      collect,
    )
    .option(
      '--ops <list>',
      'Of pull, push, delete and admin (default: pull, and push where it writes something)',
    )
    .option('--ttl <age>', 'How long it is good', '90d')
    .option(
      '--repositories <pattern>',
      'Images that it may pull and push: `team/*`, `**`; repeatable',
      collect,
    )
    .option('--pull <pattern>', 'Images that it may only pull; repeatable', collect)
    .option('--push <pattern>', 'Images that it may only push; repeatable', collect)
    .option('--subject <name>', 'Who it is for, in logs')
    .option('--max-bytes <size>', 'How much may be sent under it')
  return addSettingFlags(command, ['dir'])
}
