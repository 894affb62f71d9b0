import type { BuildOptions, OutputSpec } from '@tsbuild/builder'
import { UserError } from '@tsbuild/errors'
import { splitCsv } from '../argv/csv.ts'
import { keyValues } from '../argv/values.ts'
import type { Host } from '../host.ts'
import type { BuildFlags } from './flags.ts'
import { parseOutput } from './output-spec.ts'

/**
 * Says in the builder's words what the flags ask for.
 *
 * @param context the command's argument
 * @param proxyArgs build arguments that `--build-arg` wins over
 * @throws {UserError} `ERR_USAGE` if the flags contradict each other or a value is malformed
 * @throws {UserError} `ERR_UNSUPPORTED` for a context or Dockerfile that is no path, and for several platforms
 */
export function buildOptions(
  context: string,
  flags: BuildFlags,
  host: Host,
  proxyArgs: Readonly<Record<string, string>> = {},
): BuildOptions {
  refuseRemote('context', context)
  if (flags.file !== undefined) refuseRemote('Dockerfile', flags.file)
  const parsed = (flags.output ?? []).map((text) => parseOutput(text, host))
  const tags = [...new Set([...(flags.tag ?? []), ...parsed.flatMap((output) => output.names)])]
  const outputs = wantedOutputs(
    flags,
    tags,
    parsed.flatMap((output) => output.specs),
  )
  const buildArgs = {
    ...proxyArgs,
    ...keyValues('--build-arg', flags.buildArg ?? [], (name) => host.env[name]),
  }
  const sourceDateEpoch = epoch(buildArgs.SOURCE_DATE_EPOCH ?? host.env.SOURCE_DATE_EPOCH)
  const platform = onePlatform(flags.platform ?? [])
  return {
    context,
    cwd: host.cwd,
    ...(flags.file === undefined ? {} : { dockerfile: flags.file }),
    ...(flags.target === undefined ? {} : { target: flags.target }),
    buildArgs,
    tags,
    labels: keyValues('--label', flags.label ?? [], () => ''),
    ...(platform === undefined ? {} : { platform }),
    noCache: flags.cache === false,
    noCacheFilter: Array.isArray(flags.cacheFilter) ? flags.cacheFilter.flatMap(splitCsv) : [],
    pull: flags.pull === true,
    ...(flags.network === undefined ? {} : { network: flags.network }),
    addHosts: flags.addHost ?? [],
    ...(outputs.length === 0 ? {} : { outputs }),
    ...(sourceDateEpoch === undefined ? {} : { sourceDateEpoch }),
  }
}

function wantedOutputs(
  flags: BuildFlags,
  tags: readonly string[],
  named: readonly OutputSpec[],
): readonly OutputSpec[] {
  const pushes = flags.push === true && !named.some((output) => output.type === 'registry')
  const outputs: readonly OutputSpec[] = pushes ? [...named, { type: 'registry' }] : named
  if (outputs.some((output) => output.type === 'registry') && tags.length === 0) {
    throw new UserError('ERR_USAGE', 'Cannot push: expected a name with --tag')
  }
  const streams = outputs.filter((output) => 'dest' in output && typeof output.dest !== 'string')
  if (streams.length > 1) throw new UserError('ERR_USAGE', 'Cannot write two outputs to standard output')
  if (streams.length > 0 && flags.quiet === true) {
    throw new UserError(
      'ERR_USAGE',
      'Cannot print the image id (--quiet): standard output takes an archive',
      {
        hints: ['Use --iidfile for the image id and `--progress none` to print nothing.'],
      },
    )
  }
  // Without a name and an output a build leaves nothing but its cache; who asks for the id of an image wants an image.
  const wantsImage = flags.quiet === true || flags.iidfile !== undefined || flags.metadataFile !== undefined
  return outputs.length === 0 && wantsImage ? [{ type: 'image' }] : outputs
}

const remote = /^(?:[a-z][a-z0-9+.-]*:\/\/|git@|github\.com\/)/i

function refuseRemote(what: string, text: string): void {
  if (text === '') throw new UserError('ERR_USAGE', `Cannot use ${what} "": expected a path`)
  if (text === '-')
    throw new UserError('ERR_UNSUPPORTED', `Cannot read the ${what} from standard input: not supported yet`)
  if (remote.test(text)) {
    throw new UserError('ERR_UNSUPPORTED', `Cannot use ${what} "${text}": remote ones are not supported yet`)
  }
}

function onePlatform(given: readonly string[]): string | undefined {
  const platforms = [...new Set(given.flatMap((list) => list.split(',')).filter((one) => one !== ''))]
  if (platforms.length > 1) {
    throw new UserError(
      'ERR_UNSUPPORTED',
      `Cannot build for "${platforms.join(',')}": one platform is supported`,
    )
  }
  const [platform] = platforms
  return platform === 'local' ? undefined : platform
}

function epoch(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  if (/^\d{1,12}$/.test(text)) return Number(text)
  throw new UserError('ERR_USAGE', `Cannot use SOURCE_DATE_EPOCH "${text}": expected whole Unix seconds`)
}
