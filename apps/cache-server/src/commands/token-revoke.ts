import { exitCodes, helpText, parseArguments, visible } from '@tsbuild/command-line'
import { redact, UserError } from '@tsbuild/errors'
import { readUnverified, verifyToken } from '@tsbuild/trust'
import { Command } from 'commander'
import type { Host } from '../host.ts'
import { openKeyRing } from '../keys/key-ring.ts'
import { addSettingFlags, settingsOf, storeKeys } from '../settings/setting-flags.ts'
import { tokenParties } from '../tokens/claims.ts'
import { readToken } from '../tokens/read-token.ts'
import { type Revocation, revoke } from '../tokens/revocations.ts'
import { directoryOf, withStore } from '../with-store.ts'

/** Of an id without its token: no token lasts longer. Seconds. */
const longestTtl = 400 * 24 * 3600
/** As all that make tokens here number them. */
const tokenId = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/

/** `cache-server token revoke`: takes a token back. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = revokeCommand()
  parseArguments(command, argv)
  const settings = await settingsOf(command, host)
  const shown = await readToken(command.args[0], host)
  const revocation = await revocationOf(shown, directoryOf(settings), host.now())
  await withStore(settings, host, (store) => revoke(store, revocation, host.now()))
  host.stdout.write(visible(`${revocation.id}\n`))
  return exitCodes.success
}

/** The text of `cache-server token revoke --help`. */
export function help(): string {
  return helpText(revokeCommand())
}

/**
 * Of a token that this server signed, or of the id that its maker was told. Nobody keeps a list of tokens, so whether one of such an id was
 * ever made is not known.
 */
async function revocationOf(text: string, dir: string, nowMs: number): Promise<Revocation> {
  if (tokenId.test(text)) return { id: text, until: Math.floor(nowMs / 1000) + longestTtl }
  const claims = readUnverified(text)
  if (claims === undefined || typeof claims.jti !== 'string' || typeof claims.exp !== 'number')
    throw new UserError(
      'ERR_USAGE',
      `Cannot revoke "${redact(text.slice(0, 40))}": expected a token, or the id of one`,
      {
        hints: [
          '`cache-server token create` shows the id (`1b4e28ba-…`), and so does the log of the server.',
        ],
      },
    )
  const { keys } = await openKeyRing(dir)
  const { grant, told } = await verifyToken(text, keys, { ...tokenParties, now: nowMs })
  // One that has ended was signed here too: to take it back twice is no mistake.
  if (grant === undefined && told === undefined)
    throw new UserError('ERR_USAGE', 'Cannot revoke the token: no key of this server signed it', {
      hints: [`The keys are those in "${dir}"; \`cache-server token inspect\` says what the token is.`],
    })
  return { id: claims.jti, until: Math.max(0, Math.ceil(claims.exp)) }
}

function revokeCommand(): Command {
  const command = new Command('cache-server token revoke')
    .usage('--dir DIR [TOKEN|ID]')
    .description(
      'Takes a token back. Servers under way know it within seconds. Without an argument it is read from standard input.',
    )
    .argument('[TOKEN|ID]')
  return addSettingFlags(command, storeKeys)
}
