import { collect, oneOf } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'
import { Command, Option } from 'commander'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { spaceLimit } from '../argv/space-limit.ts'
import { type CallMethod, parseCallMethod } from '../call/method.ts'
import { type ProgressMode, progressModes } from '../progress/mode.ts'
import type { AttestationFlags } from './attestations.ts'
import { type ExecutionFlags, executionOptionFlags } from './execution-flags.ts'

/** What the flags of `tsbuild build` say, as given: nothing is resolved or read from the environment. */
export interface BuildFlags extends GlobalFlags, ExecutionFlags, AttestationFlags {
  readonly tag?: readonly string[]
  readonly file?: string
  readonly target?: string
  readonly buildArg?: readonly string[]
  readonly buildContext?: readonly string[]
  readonly secret?: readonly string[]
  readonly ssh?: readonly string[]
  readonly label?: readonly string[]
  readonly platform?: readonly string[]
  /** False for `--no-cache`; commander names a flag with `no-` after the rest. */
  readonly cache?: boolean
  /** The stages of `--no-cache-filter`; true where it is not given. */
  readonly cacheFilter?: readonly string[] | true
  readonly cacheFrom?: readonly string[]
  readonly cacheTo?: readonly string[]
  readonly cacheRequired?: true
  readonly pull?: true
  readonly network?: 'default' | 'none' | 'host'
  readonly addHost?: readonly string[]
  readonly output?: readonly string[]
  readonly annotation?: readonly string[]
  readonly push?: true
  readonly signBy?: string
  readonly load?: true
  readonly progress?: ProgressMode
  readonly quiet?: true
  readonly iidfile?: string
  readonly metadataFile?: string
  readonly check?: true
  readonly call?: CallMethod
}

/**
 * Whether nothing but the id of the image is to be printed. A variable for the progress does not say so: standard output may
 * be an archive.
 */
export function isQuiet({ quiet, progress }: BuildFlags): boolean {
  return quiet === true || progress === 'quiet'
}

const groups = {
  image: 'What to build:',
  run: 'How steps run:',
  limits: 'What steps may use, all together:',
  cache: 'Cache:',
  output: 'What comes out:',
  call: 'Instead of a build:',
} as const

const networks = ['default', 'none', 'host'] as const

/** The flags that work, in the order of `--help`. */
function buildFlags(): readonly Option[] {
  const flag = (group: keyof typeof groups, flags: string, description: string): Option =>
    new Option(flags, description).helpGroup(groups[group])
  return [
    flag('image', '-t, --tag <name>', 'Name of the image, `name:tag`; repeatable').argParser(collect),
    flag(
      'image',
      '-f, --file <path>',
      'The Dockerfile: a path, a URL or `-` (default: `CONTEXT/Dockerfile`)',
    ),
    flag(
      'image',
      '--build-context <context>',
      '`name=place` for FROM and --from (see below); repeatable',
    ).argParser(collect),
    flag('image', '--target <stage>', 'The stage to build (default: the last one)'),
    flag('image', '--build-arg <arg>', '`NAME=value`, or `NAME` of the environment; repeatable').argParser(
      collect,
    ),
    flag('image', '--label <label>', '`name=value`, wins over LABEL; repeatable').argParser(collect),
    flag(
      'image',
      '--platform <platform>',
      'What to build for: `linux/amd64`, `local`, or several with commas; repeatable',
    ).argParser(collect),
    flag('run', '--network <mode>', 'Network of RUN steps: default, none or host').argParser(
      oneOf('--network', networks),
    ),
    flag('run', '--add-host <host>', '`name:ip` for /etc/hosts of RUN steps; repeatable').argParser(collect),
    flag(
      'run',
      '--secret <secret>',
      '`id=name[,src=path|,env=NAME]`, for steps and for fetching; repeatable',
    ).argParser(collect),
    flag(
      'run',
      '--ssh <agent>',
      '`default` or `id[=socket|key[,key]]`: an agent that signs; repeatable',
    ).argParser(collect),
    ...executionOptionFlags(groups.run, groups.limits),
    flag('cache', '--no-cache', 'Run every step again'),
    flag('cache', '--no-cache-filter <stages>', 'Run the steps of these stages again; repeatable').argParser(
      collect,
    ),
    flag(
      'cache',
      '--cache-from <cache>',
      'A cache elsewhere to find steps in (see below); repeatable',
    ).argParser(collect),
    flag(
      'cache',
      '--cache-to <cache>',
      'A cache elsewhere to send steps to (see below); repeatable',
    ).argParser(collect),
    flag(
      'cache',
      '--cache-required',
      'Fail where a cache elsewhere cannot be used, in the place of a warning',
    ),
    flag(
      'cache',
      '--max-used-space <size>',
      'How much the store may take, `100g` or `80%` (default: TSBUILD_MAX_USED_SPACE, else 80 % of the disk, at most 100 GB)',
    ).argParser(spaceLimit('--max-used-space')),
    flag('cache', '--pull', 'Ask the registry for the newest base images'),
    flag('output', '-o, --output <spec>', 'An output (see below); repeatable').argParser(collect),
    flag(
      'output',
      '--annotation <annotation>',
      '`[manifest|index|…[platform]:]name=value` of the image; repeatable',
    ).argParser(collect),
    flag('output', '--push', 'Push every tag, as `--output type=registry`'),
    flag('output', '--sign-by <key>', 'Sign what is pushed with this private key, as `tsbuild sign`'),
    flag('output', '--load', 'Load into a running Docker or podman, as `--output type=docker`'),
    flag(
      'output',
      '--attest <attestation>',
      '`type=provenance|sbom` and attributes: what is said about the image; repeatable',
    ).argParser(collect),
    flag(
      'output',
      '--provenance <attributes>',
      'How the image was made: `true`, `false`, or `mode=min|max` and others',
    ).argParser(collect),
    flag('output', '--sbom <attributes>', 'What is installed in the image: `true` or `false`').argParser(
      collect,
    ),
    flag('output', '--progress <mode>', `${progressModes.join(', ')}`).argParser(
      oneOf('--progress', progressModes),
    ),
    flag('output', '-q, --quiet', 'Print nothing but the image id; `--progress quiet`'),
    flag('output', '--iidfile <path>', 'Write the image id to a file'),
    flag('output', '--metadata-file <path>', 'Write what was built as JSON to a file'),
    flag('call', '--check', 'Check the Dockerfile and build nothing; exit code 1 if there is a finding'),
    flag(
      'call',
      '--call <method>',
      'Ask without building: check, outline or targets, with `,format=json` for JSON',
    ).argParser(parseCallMethod),
  ]
}

/** Flags of buildx that ask for something tsbuild does not do yet: known, so that the answer is precise. */
const unsupportedFlags: readonly (readonly [flags: string, what: string, hint?: string])[] = [
  ['--policy <policy>', 'build policies'],
  ['--invoke <command>', 'debuggers of failed steps'],
  ['--squash', 'squashed images'],
]

/** Flags that change nothing here; scripts written for docker pass them. */
const ignoredFlags: readonly string[] = ['--builder <name>', '--rm', '--force-rm', '--compress']

const outputHelp = `
Contexts (CONTEXT, or --build-context name=…):
  DIR                          a directory
  -                            standard input: a tar, or just a Dockerfile
  https://HOST/R.git#REF:DIR   a git repository; also git@HOST:R, ssh://, git://
  https://HOST/FILE            a tar, or just a Dockerfile
  docker-image://NAME          an image (--build-context only)
  oci-layout://DIR[:TAG]       one of an OCI layout (--build-context only)

Outputs (--output, -o):
  type=image                   the local image list (the default with --tag)
  type=oci,dest=FILE           an OCI archive; dest=- is standard output
  type=oci,tar=false,dest=DIR  the same as a directory, an OCI layout
  type=docker,dest=FILE        an archive for \`docker load\`
  type=docker[,context=NAME]   into a running Docker or podman
  type=local,dest=DIR          the files of the image; also just \`-o DIR\`
  type=tar,dest=FILE           the same as a tar; \`-o -\` is standard output
  type=registry                a push of every tag
  type=cacheonly               nothing but the cache
  with name=…, compression=gzip|zstd|estargz|uncompressed, compression-level=N
  and more: docs/reference/outputs.md

Caches (--cache-from, --cache-to):
  type=registry,ref=NAME       a tag of a registry; --cache-from also just NAME
  type=inline                  in the image that is written (--cache-to only)
  type=local,dest=DIR          an OCI layout; --cache-from has src=DIR
  type=server,url=URL          a cache-server
  with mode=min|max and more: docs/reference/cache-back-ends.md

Examples:
  tsbuild -t app:1.0 .
  tsbuild -t app:1.0 - < app.tar.gz
  tsbuild -t app:1.0 -f docker/Dockerfile --build-arg VERSION=1.0 .
  tsbuild -o type=oci,dest=app.tar,compression=zstd .
  tsbuild --target test --progress plain .
  tsbuild -t registry.example/app:1.0 --push .
  tsbuild --memory 4g --cpus 2 --timeout 30m .
`

/** The parser of `tsbuild build`. Its option values are {@link BuildFlags}; its one argument is the context. */
export function buildCommand(): Command {
  const command = new Command('tsbuild build')
    .usage('[flags] CONTEXT')
    .description('Builds an image from a Dockerfile. `tsbuild [flags] CONTEXT` is the same.')
    .argument('<CONTEXT>', 'the files to build from: a directory, a URL or `-` (see below)')
    .helpCommand(false)
    .addHelpText('after', outputHelp)
  for (const option of buildFlags()) command.addOption(option)
  addGlobalFlags(command)
  for (const [flags] of unsupportedFlags) command.addOption(new Option(flags).hideHelp().argParser(collect))
  for (const flags of ignoredFlags) command.addOption(new Option(flags).hideHelp())
  return command
}

/**
 * Refuses what buildx does and we do not.
 *
 * @throws {UserError} `ERR_UNSUPPORTED` for the first such flag of the table above
 */
export function refuseUnsupported(command: Command): void {
  for (const [flags, what, hint] of unsupportedFlags) {
    const option = new Option(flags)
    const name = option.attributeName()
    if (command.getOptionValueSource(name) !== 'cli') continue
    throw new UserError(
      'ERR_UNSUPPORTED',
      `Cannot use flag "${option.long}": ${what} are not supported yet`,
      {
        hints: hint === undefined ? [] : [hint],
      },
    )
  }
}
