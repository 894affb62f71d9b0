import { UserError } from '@tsbuild/errors'
import type { Credentials, RegistryClient } from '@tsbuild/registry'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addRegistryFlags, type RegistryFlags } from '../argv/global-flags.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { ask, readAll } from '../read-input.ts'
import { parseRegistryName } from '../registry-name.ts'
import { keepCredentials } from '../settings/keep-credentials.ts'
import { registryCredentials } from '../settings/registry-credentials.ts'
import { withRegistry } from '../with-registry.ts'

interface LoginFlags extends RegistryFlags {
  readonly username?: string
  readonly password?: string
  readonly passwordStdin?: true
}

/** `tsbuild login [REGISTRY]`. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = loginCommand()
  parseArguments(command, argv)
  const flags = command.opts<LoginFlags>()
  checkFlags(flags, host)
  const registry = parseRegistryName(command.args[0])
  await withRegistry(flags, host, async (client, signal) => {
    const existing = await knownCredentials(flags, host, registry)
    if (existing !== undefined && (await isAccepted(client, registry, existing, signal))) {
      host.stderr.write(`The credentials that are kept for ${registry} are still good\n`)
      return
    }
    if (existing !== undefined)
      host.stderr.write(`${registry} refuses the credentials that are kept for it\n`)
    const credentials = await readCredentials(flags, host)
    const outcome = await client.login(registry, credentials, { signal })
    if (outcome === 'unasked') {
      host.stderr.write(`${registry} asks nobody for credentials, so these were not checked\n`)
    }
    const { path, helper } = await keepCredentials(host, registry, credentials)
    if (helper === undefined) {
      host.stderr.write(
        `The password is kept in ${path}, and not encrypted; a credential helper would do that\n`,
      )
    }
  })
  host.stdout.write('Login Succeeded\n')
  return exitCodes.success
}

/** The text of `tsbuild login --help`. */
export function help(): string {
  return helpText(loginCommand())
}

function loginCommand(): Command {
  const command = new Command('tsbuild login')
    .usage('[flags] [REGISTRY]')
    .description(
      'Checks a user name and a password with a registry, and keeps them where docker does. Without flags it checks what is kept already, and asks for what is missing.',
    )
    .argument('[REGISTRY]', 'for example `registry.example:5000` (default: the Docker Hub)')
    .addOption(new Option('-u, --username <name>', 'The user name'))
    .addOption(new Option('-p, --password <password>', 'The password; other users of the machine can see it'))
    .option('--password-stdin', 'Read the password from standard input')
  return addRegistryFlags(command)
}

function checkFlags(flags: LoginFlags, host: Host): void {
  const { username, password, passwordStdin } = flags
  const wrong = (state: string) => new UserError('ERR_USAGE', `Cannot log in: ${state}`)
  if (password !== undefined && passwordStdin)
    throw wrong('--password and --password-stdin exclude each other')
  if (passwordStdin && username === undefined) throw wrong('--password-stdin needs --username')
  if (username === '' || username?.includes(':')) throw wrong('a user name is not empty and has no ":" in it')
  if (password === '') throw wrong('the password is empty')
  if (password !== undefined) {
    host.stderr.write('Warning: other users can see what --password says; --password-stdin hides it\n')
  }
}

/** Only who says nothing means those that are kept. */
async function knownCredentials(
  { username, password, passwordStdin }: LoginFlags,
  host: Host,
  registry: string,
): Promise<Credentials | undefined> {
  if (username !== undefined || password !== undefined || passwordStdin) return undefined
  return await registryCredentials(host)(registry)
}

async function isAccepted(
  client: RegistryClient,
  registry: string,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await client.login(registry, credentials, { signal })
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_REGISTRY_AUTH') return false
    throw error
  }
}

async function readCredentials(flags: LoginFlags, host: Host): Promise<Credentials> {
  const terminal = host.stdin.isTTY === true
  const missing = (what: string, hint: string) =>
    new UserError('ERR_USAGE', `Cannot log in: there is no ${what}, and no terminal to ask for it`, {
      hints: [hint],
    })
  if (flags.username === undefined && !terminal) throw missing('user name', 'Say it with --username.')
  const username = flags.username ?? (await ask(host, 'Username: ', false))
  if (flags.password === undefined && !flags.passwordStdin && !terminal) {
    throw missing('password', 'Write it to standard input, with --password-stdin.')
  }
  const password =
    flags.password ?? (flags.passwordStdin ? await readAll(host.stdin) : await ask(host, 'Password: ', true))
  if (username === '' || username.includes(':') || password === '') {
    throw new UserError(
      'ERR_USAGE',
      'Cannot log in: the user name or the password is empty or has a ":" in it',
    )
  }
  return { type: 'basic', username, password }
}
