import { exitCodes, formatTable, helpText, parseArguments, visible } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'
import { readUnverified, verifyToken } from '@tsbuild/trust'
import { Command } from 'commander'
import type { Host } from '../host.ts'
import { openKeyRing } from '../keys/key-ring.ts'
import { addSettingFlags, settingsOf, storeKeys } from '../settings/setting-flags.ts'
import { tokenParties } from '../tokens/claims.ts'
import { readToken } from '../tokens/read-token.ts'
import { readRevocations } from '../tokens/revocations.ts'
import { directoryOf, withStore } from '../with-store.ts'

/** `cache-server token inspect`: what a token says, and whether this server would believe it. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = inspectCommand()
  parseArguments(command, argv)
  const token = await readToken(command.args[0], host)
  const claims = readUnverified(token)
  if (claims === undefined)
    throw new UserError('ERR_USAGE', 'Cannot read the token: expected three parts with dots between them')
  const settings = await settingsOf(command, host)
  const { keys } = await openKeyRing(directoryOf(settings))
  const revoked = await withStore(settings, host, readRevocations)
  const isRevoked = (id: string) => revoked.some((one) => one.id === id)
  const verdict = await verifyToken(token, keys, { ...tokenParties, now: host.now(), isRevoked })
  const rows = Object.entries(claims).map(([name, value]) => [name, shown(name, value)])
  host.stdout.write(visible(formatTable([...rows, ['counts', saidOf(verdict.reason)]])))
  return verdict.grant === undefined ? exitCodes.user : exitCodes.success
}

/** The text of `cache-server token inspect --help`. */
export function help(): string {
  return helpText(inspectCommand())
}

function saidOf(reason: string | undefined): string {
  if (reason === undefined) return 'yes'
  return reason.startsWith('ERR_JWT_EXPIRED') ? 'no: it has ended' : `no: ${reason}`
}

function shown(name: string, value: unknown): string {
  if (['iat', 'nbf', 'exp'].includes(name) && typeof value === 'number' && Math.abs(value) < 8.64e12)
    return new Date(value * 1000).toISOString()
  if (Array.isArray(value)) return value.map(String).join(', ') || '-'
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function inspectCommand(): Command {
  const command = new Command('cache-server token inspect')
    .usage('--dir DIR [TOKEN]')
    .description(
      'Says what a token permits and whether this server believes it; exit code 1 where it does not. Without TOKEN it is read from standard input, where no other process sees it.',
    )
    .argument('[TOKEN]')
  return addSettingFlags(command, storeKeys)
}
