import { Command } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { parseRegistryName } from '../registry-name.ts'
import { keepCredentials } from '../settings/keep-credentials.ts'
import { registryCredentials } from '../settings/registry-credentials.ts'

/** `tsbuild logout [REGISTRY]`. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = logoutCommand()
  parseArguments(command, argv)
  const registry = parseRegistryName(command.args[0])
  const { path, helper, known } = await keepCredentials(host, registry, undefined)
  const forgotten = known || helper !== undefined
  host.stdout.write(
    forgotten ? `Removed the credentials for ${registry}\n` : `Not logged in to ${registry}\n`,
  )
  if ((await registryCredentials(host)(registry)) !== undefined) {
    host.stderr.write(`Warning: another file than ${path} still has credentials for ${registry}\n`)
  }
  return exitCodes.success
}

/** The text of `tsbuild logout --help`. */
export function help(): string {
  return helpText(logoutCommand())
}

function logoutCommand(): Command {
  return new Command('tsbuild logout')
    .usage('[flags] [REGISTRY]')
    .description('Forgets the user name and the password that are kept for a registry.')
    .argument('[REGISTRY]', 'for example `registry.example:5000` (default: the Docker Hub)')
    .option('-D, --debug', 'Show stacks of errors')
}
