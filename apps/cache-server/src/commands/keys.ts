import { exitCodes, formatTable, helpText, parseArguments } from '@tsbuild/command-line'
import { formatPublicKey } from '@tsbuild/trust'
import { Command } from 'commander'
import type { CommandModule } from '../commands.ts'
import { type KeyRing, openKeyRing, removeKey, rotateKeys } from '../keys/key-ring.ts'
import { addSettingFlags, settingsOf } from '../settings/setting-flags.ts'
import { directoryOf } from '../with-store.ts'

const table = ({ keys }: KeyRing): string =>
  formatTable([
    ['KEY', 'PUBLIC KEY', 'USE'],
    ...keys.map((key, index) => [key.id, formatPublicKey(key), index === 0 ? 'signs' : 'is believed']),
  ])

/** `cache-server keys list`. */
export const list = keysCommand(
  'list',
  'Lists the keys of the server; makes the first where there is none.',
  openKeyRing,
  table,
)

/** `cache-server keys rotate`. */
export const rotate = keysCommand(
  'rotate',
  'Makes a new key, which signs from now on. What the older ones signed is believed until `keys remove`.',
  rotateKeys,
  table,
)

/** `cache-server keys export`: lines for the keys file of clients. */
export const exportKeys = keysCommand(
  'export',
  'Prints a line for each key, for the keys file of clients: for which scopes it may speak (narrow it by hand), and the public key.',
  openKeyRing,
  ({ keys }) => keys.map((key) => `# ${key.id}\n** ${formatPublicKey(key)}\n`).join(''),
)

/** `cache-server keys remove`. */
export const remove = keysCommand(
  'remove',
  'Removes a key: the tokens and records that it signed are believed no more.',
  async (dir, [id = '']) => {
    await removeKey(dir, id)
    return await openKeyRing(dir)
  },
  table,
  'KEY',
)

function keysCommand(
  name: string,
  description: string,
  act: (dir: string, args: readonly string[]) => Promise<KeyRing>,
  show: (ring: KeyRing) => string,
  argument?: string,
): CommandModule {
  const make = (): Command => {
    const command = new Command(`cache-server keys ${name}`)
      .usage(`--dir DIR${argument === undefined ? '' : ` ${argument}`}`)
      .description(description)
    if (argument !== undefined) command.argument(`<${argument}>`)
    return addSettingFlags(command, ['dir'])
  }
  return {
    async run(argv, host) {
      const command = make()
      parseArguments(command, argv)
      const settings = await settingsOf(command, host)
      host.stdout.write(show(await act(directoryOf(settings), command.args)))
      return exitCodes.success
    },
    help: () => helpText(make()),
  }
}
