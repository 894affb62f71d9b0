import { exitCodes, helpText, parseArguments, visible } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'
import { readUnverified } from '@tsbuild/trust'
import { Command } from 'commander'
import type { Host } from '../host.ts'
import { addSettingFlags, settingsOf, storeKeys } from '../settings/setting-flags.ts'
import { readToken } from '../tokens/read-token.ts'
import { type Revocation, revoke } from '../tokens/revocations.ts'
import { withStore } from '../with-store.ts'

/** Of an id without its token: no token lasts longer. Seconds. */
const longestTtl = 400 * 24 * 3600

/** `cache-server token revoke`: takes a token back. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = revokeCommand()
  parseArguments(command, argv)
  const revocation = revocationOf(await readToken(command.args[0], host), host.now())
  const settings = await settingsOf(command, host)
  await withStore(settings, host, (store) => revoke(store, revocation, host.now()))
  host.stdout.write(visible(`${revocation.id}\n`))
  return exitCodes.success
}

/** The text of `cache-server token revoke --help`. */
export function help(): string {
  return helpText(revokeCommand())
}

/** Of a token, or of the id that its maker was told. What it says need not be true: at worst a line is kept for nothing. */
function revocationOf(text: string, nowMs: number): Revocation {
  const claims = text.includes('.') ? readUnverified(text) : { jti: text }
  const id = claims?.jti
  if (typeof id !== 'string' || !/^[\w.:/@+-]{1,200}$/.test(id))
    throw new UserError('ERR_USAGE', 'Cannot revoke the token: expected a token, or the id of one', {
      hints: ['`cache-server token create` shows the id, and so does the log of the server.'],
    })
  const longest = Math.floor(nowMs / 1000) + longestTtl
  const said = claims?.exp
  return { id, until: typeof said === 'number' && said < longest ? Math.max(0, Math.ceil(said)) : longest }
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
