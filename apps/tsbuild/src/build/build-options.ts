import type { BuildOptions, OutputSpec } from '@tsbuild/builder'
import { keyValues } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'
import { splitCsv } from '../argv/csv.ts'
import type { Host } from '../host.ts'
import { parseAnnotation } from './annotations.ts'
import { parseAttestations } from './attestations.ts'
import { type CacheDefaults, cacheOptions } from './cache-options.ts'
import { executionOptions } from './execution-flags.ts'
import { type BuildFlags, isQuiet } from './flags.ts'
import { parseOutput } from './output-spec.ts'
import { parseSecrets } from './secrets.ts'
import { parseSsh } from './ssh.ts'

/** What holds where no flag says otherwise. */
export interface BuildDefaults {
  /** Build arguments that `--build-arg` wins over. */
  readonly proxyArgs?: Readonly<Record<string, string>> | undefined
  /** Of the configuration. */
  readonly caches?: CacheDefaults | undefined
}

/**
 * Says in the builder's words what the flags ask for.
 *
 * @param context the command's argument
 * @throws {UserError} `ERR_USAGE` if the flags contradict each other or a value is malformed
 * @throws {UserError} `ERR_UNSUPPORTED` for what docker can and tsbuild cannot; `ERR_SECRET`, `ERR_SSH` for what is not there
 */
export function buildOptions(
  context: string,
  flags: BuildFlags,
  host: Host,
  { proxyArgs = {}, caches }: BuildDefaults = {},
): BuildOptions {
  if (context === '') throw new UserError('ERR_USAGE', 'Cannot use context "": expected a path, a URL or `-`')
  if (flags.file === '')
    throw new UserError('ERR_USAGE', 'Cannot use Dockerfile "": expected a path, a URL or `-`')
  refuseTerminal(context, flags, host)
  const tags = [...new Set(flags.tag ?? [])]
  const outputs = wantedOutputs(
    flags,
    tags,
    (flags.output ?? []).map((text) => parseOutput(text, host)),
  )
  const attestations = parseAttestations(flags)
  const annotations = (flags.annotation ?? []).flatMap(parseAnnotation)
  const { SOURCE_DATE_EPOCH: epoch = '' } = host.env
  const buildArgs = {
    ...proxyArgs,
    ...(epoch === '' ? {} : { SOURCE_DATE_EPOCH: epoch }),
    ...keyValues('--build-arg', flags.buildArg ?? [], (name) => host.env[name]),
  }
  const platforms = splitPlatforms(flags.platform ?? [])
  return {
    context,
    stdin: host.stdin,
    buildContexts: namedContexts(flags.buildContext ?? []),
    secrets: parseSecrets(flags.secret ?? [], host),
    ssh: parseSsh(flags.ssh ?? [], host),
    cwd: host.cwd,
    ...(flags.file === undefined ? {} : { dockerfile: flags.file }),
    ...(flags.target === undefined ? {} : { target: flags.target }),
    buildArgs,
    tags,
    labels: keyValues('--label', flags.label ?? [], () => ''),
    ...(platforms.length === 0 ? {} : { platforms }),
    noCache: flags.cache === false,
    noCacheFilter: Array.isArray(flags.cacheFilter) ? flags.cacheFilter.flatMap(splitCsv) : [],
    ...cacheOptions(flags, host, caches),
    pull: flags.pull === true,
    ...(flags.network === undefined ? {} : { network: flags.network }),
    addHosts: flags.addHost ?? [],
    ...executionOptions(flags),
    ...(outputs.length === 0 ? {} : { outputs }),
    ...(annotations.length === 0 ? {} : { annotations }),
    ...(attestations === undefined ? {} : { attestations }),
  }
}

/** A build that waits for what nobody is going to type looks like one that hangs. */
function refuseTerminal(context: string, flags: BuildFlags, { stdin }: Host): void {
  const what = context === '-' ? 'the build context' : flags.file === '-' ? 'the Dockerfile' : undefined
  if (what === undefined || stdin.isTTY !== true) return
  throw new UserError('ERR_USAGE', `Cannot read ${what} from standard input: it is a terminal`, {
    hints: ['For example `tsbuild -f - . < Dockerfile`, or `tar -cz . | tsbuild -` for a whole context.'],
  })
}

function wantedOutputs(
  flags: BuildFlags,
  tags: readonly string[],
  named: readonly OutputSpec[],
): readonly OutputSpec[] {
  const loads = flags.load === true && !named.some((output) => output.type === 'engine')
  const pushed = flags.push === true ? withPush(named) : named
  const outputs: readonly OutputSpec[] = loads ? [...pushed, { type: 'engine' }] : pushed
  const isNameless = (output: OutputSpec) =>
    pushes(output) &&
    tags.length === 0 &&
    !('names' in output && output.names !== undefined) &&
    !('danglingNamePrefix' in output)
  if (outputs.some(isNameless)) throw new UserError('ERR_USAGE', 'Cannot push: expected a name with --tag')
  const streams = outputs.filter((output) => 'dest' in output && typeof output.dest !== 'string')
  if (streams.length > 1) throw new UserError('ERR_USAGE', 'Cannot write two outputs to standard output')
  if (streams.length > 0 && isQuiet(flags)) {
    throw new UserError(
      'ERR_USAGE',
      'Cannot print the image id (--quiet): standard output takes an archive',
      {
        hints: ['Use --iidfile for the image id and `--progress none` to print nothing.'],
      },
    )
  }
  // Without a name and an output a build leaves nothing but its cache; who asks for the id of an image wants an image.
  const wantsImage = isQuiet(flags) || flags.iidfile !== undefined || flags.metadataFile !== undefined
  return outputs.length === 0 && wantsImage ? [{ type: 'image' }] : outputs
}

function pushes(output: OutputSpec): boolean {
  return output.type === 'registry' || (output.type === 'image' && output.push === true)
}

/** `--push`: each image of the local list is pushed too; where nothing else would be pushed, the image is only pushed. */
function withPush(named: readonly OutputSpec[]): readonly OutputSpec[] {
  const pushed = named.map((output) => (output.type === 'image' ? { ...output, push: true } : output))
  return pushed.some(pushes) ? pushed : [...pushed, { type: 'registry' }]
}

function namedContexts(given: readonly string[]): Readonly<Record<string, string>> {
  return keyValues('--build-context', given, (name) => {
    throw new UserError('ERR_USAGE', `Cannot use --build-context "${name}": expected \`name=value\``)
  })
}

/** Each flag may hold several. */
function splitPlatforms(given: readonly string[]): readonly string[] {
  const platforms = given.flatMap((list) => list.split(',')).map((one) => one.trim())
  return [...new Set(platforms.filter((one) => one !== ''))]
}
