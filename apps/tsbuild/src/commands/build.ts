import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { KeyText } from '@tsbuild/builder'
import { nearest, UserError } from '@tsbuild/errors'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { buildOptions } from '../build/build-options.ts'
import { type BuildFlags, buildCommand, refuseUnsupported } from '../build/flags.ts'
import { type BuildRun, runBuild } from '../build/run-build.ts'
import { callMethod } from '../call/method.ts'
import { commands } from '../commands.ts'
import type { Host } from '../host.ts'
import { displayMode } from '../progress/create-display.ts'
import { builderOptions } from '../settings/builder-options.ts'
import { readConfigFile } from '../settings/config-file.ts'
import { dockerProxyArgs } from '../settings/docker-proxies.ts'
import { withBuilder } from '../with-builder.ts'

/** `tsbuild [build] [flags] CONTEXT`. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = buildCommand()
  parseArguments(command, argv)
  refuseUnsupported(command)
  const flags = command.opts<BuildFlags>()
  const context = command.args[0] ?? ''
  const mode = displayMode(flags, host)
  const config = await readConfigFile(host.env)
  const settings = await builderOptions(flags, host, config)
  const proxyArgs = dockerProxyArgs(settings.dockerConfig)
  const options = buildOptions(context, flags, host, { proxyArgs, caches: config })
  await refuseMistypedCommand(context, host.cwd)
  const method = callMethod(flags)
  if (method !== undefined) {
    const { runCall } = await import('../call/run-call.ts')
    return await withBuilder(flags, host, (opened, signal) =>
      runCall({ method, options, host, builder: opened, signal }),
    )
  }
  const signBy = await signKeyOf(flags, host)
  const builder = await host.openBuilder(settings)
  const start: BuildRun['start'] = (onEvent) => builder.build({ ...options, signBy, onEvent })
  try {
    return await runBuild({ flags, mode, host, start })
  } finally {
    await builder.close()
  }
}

/** Loaded where a build signs; most do not. */
async function signKeyOf({ signBy }: BuildFlags, host: Host): Promise<KeyText | undefined> {
  if (signBy === undefined) return undefined
  return await (await import('../build/sign-by.ts')).signingKey(signBy, host)
}

/** The text of `tsbuild build --help`. */
export function help(): string {
  return helpText(buildCommand())
}

/** `tsbuild imags` asks for a build of the directory `imags`; where there is none, the word was meant as a command. */
async function refuseMistypedCommand(context: string, cwd: string): Promise<void> {
  const names = [...commands.map((command) => command.name), 'version', 'help']
  const meant = /^[a-z]+$/.test(context) ? nearest(context, names) : undefined
  if (meant === undefined || (await isThere(resolve(cwd, context)))) return
  throw new UserError(
    'ERR_USAGE',
    `Cannot run "${context}": there is no such command, and no directory to build`,
    {
      hints:
        meant === context
          ? [`Put the command first: \`tsbuild ${meant}\`.`]
          : [`Did you mean \`tsbuild ${meant}\`?`],
    },
  )
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}
