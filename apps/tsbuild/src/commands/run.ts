import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { collect, keyValues, oneOf, visible } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import {
  type LimitFlags,
  limitOptions,
  parseLimits,
  parseShmSize,
  parseUlimits,
  ulimitOption,
} from '../argv/limits.ts'
import { parseEnvFile, parsePort, parseVolume } from '../argv/volumes.ts'
import { entitlementOf } from '../build/execution-flags.ts'
import type { Host } from '../host.ts'
import { withProgram } from '../with-program.ts'

interface RunFlags extends GlobalFlags, LimitFlags {
  readonly entrypoint?: string
  readonly env?: readonly string[]
  readonly envFile?: readonly string[]
  readonly volume?: readonly string[]
  readonly publish?: readonly string[]
  readonly user?: string
  readonly workdir?: string
  readonly interactive?: true
  readonly tty?: true
  readonly network?: 'default' | 'none' | 'host'
  readonly hostname?: string
  readonly addHost?: readonly string[]
  readonly platform?: string
  readonly readOnly?: true
  readonly ulimit?: readonly string[]
  readonly shmSize?: string
  readonly allow?: readonly string[]
  readonly securityOpt?: readonly string[]
  readonly privileged?: true
}

/** `tsbuild run IMAGE [ARGS...]`: the exit code is the program's. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = runCommand()
  parseArguments(command, argv)
  const flags = command.opts<RunFlags>()
  const [image = '', ...args] = command.args
  const { entrypoint } = flags
  const terminal = flags.tty === true
  const options = {
    image,
    ...(args.length === 0 ? {} : { args }),
    ...(entrypoint === undefined ? {} : { entrypoint: entrypoint === '' ? [] : [entrypoint] }),
    env: await environment(flags, host),
    ...surroundings(flags, host),
    terminal,
    term: host.env.TERM,
    stdio: [flags.interactive === true ? 0 : null, 1, 2],
    onNotice: (message: string) => void host.stderr.write(`Note: ${visible(message)}\n`),
  } as const
  refuseContradictions(flags, host)
  const raw = terminal && flags.interactive === true
  return await withProgram(flags, host, raw, (builder, foreground) =>
    builder.runImage({ ...options, ...foreground }),
  )
}

/** The text of `tsbuild run --help`. */
export function help(): string {
  return helpText(runCommand())
}

function surroundings(flags: RunFlags, host: Host) {
  return {
    user: flags.user,
    workdir: flags.workdir,
    volumes: (flags.volume ?? []).map((volume) => parseVolume(volume, host.cwd)),
    ports: (flags.publish ?? []).map(parsePort),
    network: flags.network,
    hostname: flags.hostname,
    addHosts: flags.addHost,
    platform: flags.platform,
    readOnly: flags.readOnly,
    limits: parseLimits(flags),
    ulimits: parseUlimits(flags.ulimit ?? []),
    shmSizeBytes: flags.shmSize === undefined ? undefined : parseShmSize(flags.shmSize),
    allow: (flags.allow ?? []).map(entitlementOf),
    noNewPrivileges: (flags.securityOpt ?? []).map(securityOption).length > 0,
  }
}

async function environment(flags: RunFlags, host: Host): Promise<Readonly<Record<string, string>>> {
  const outside = (name: string) => host.env[name]
  const files = (flags.envFile ?? []).map(async (path) => {
    const text = await readFile(resolve(host.cwd, path), 'utf8').catch((cause) => {
      throw new UserError('ERR_USAGE', `Cannot read file "${path}" of --env-file`, { cause })
    })
    return keyValues('--env-file', parseEnvFile(text), outside)
  })
  return Object.assign({}, ...(await Promise.all(files)), keyValues('--env', flags.env ?? [], outside))
}

function securityOption(option: string): void {
  if (/^no-new-privileges(?:[:=]true)?$/.test(option)) return
  throw new UserError(
    'ERR_USAGE',
    `Cannot use value "${option}" of --security-opt: expected "no-new-privileges"`,
  )
}

function refuseContradictions(flags: RunFlags, host: Host): void {
  if (flags.privileged === true)
    throw new UserError('ERR_UNSUPPORTED', 'Cannot use flag "--privileged": there is no such mode', {
      hints: [
        '`--allow security.insecure` takes the walls of the sandbox away. The program can do what you can then.',
      ],
    })
  if (flags.tty === true && flags.interactive === true && host.stdin.isTTY !== true)
    throw new UserError('ERR_USAGE', 'Cannot use both -i and -t: standard input is not a terminal', {
      hints: ['With -i alone the program reads standard input; with -t alone it has a terminal to write to.'],
    })
  if (flags.publish !== undefined && (flags.network === 'none' || flags.network === 'host'))
    throw new UserError(
      'ERR_USAGE',
      `Cannot use both --publish and --network ${flags.network}: ports belong to the default network`,
    )
}

const groups = {
  program: 'The program:',
  files: 'Files:',
  network: 'Network:',
  rights: 'Rights:',
  limits: 'Limits:',
} as const

/** The flags of docker that are about other things than the program; `--rm` is what always happens. */
const ignoredFlags = ['--rm', '--init', '--pull <policy>', '-q, --quiet']

function runFlags(): readonly Option[] {
  const flag = (group: keyof typeof groups, names: string, description: string): Option =>
    new Option(names, description).helpGroup(groups[group])
  const many = (group: keyof typeof groups, names: string, description: string): Option =>
    flag(group, names, `${description}; repeatable`).argParser(collect)
  return [
    flag('program', '-i, --interactive', 'Let it read standard input'),
    flag('program', '-t, --tty', 'Give it a terminal'),
    many('program', '-e, --env <variable>', '`NAME=value`, or `NAME` of the environment'),
    many('program', '--env-file <path>', 'A file of such lines'),
    flag('program', '-w, --workdir <dir>', 'Run in this directory'),
    flag('program', '-u, --user <user>', 'Run as `name` or `uid[:gid]`'),
    flag('program', '--entrypoint <program>', "Replace the image's ENTRYPOINT"),
    flag('program', '--platform <platform>', 'Of an image for several, for example `linux/arm64`'),
    many('files', '-v, --volume <volume>', '`SOURCE:TARGET[:ro]`, a directory or file of this machine'),
    flag('files', '--read-only', "Do not let it write to the image's files"),
    flag('network', '--network <mode>', 'default (private), none or host').argParser(
      oneOf('--network', ['default', 'none', 'host']),
    ),
    many('network', '-p, --publish <port>', '`[ADDRESS:]HOST:INSIDE[/udp]` (default address: 127.0.0.1)'),
    many('network', '--add-host <host>', '`name:ip` for /etc/hosts'),
    flag('network', '--hostname <name>', 'Its host name (default: tsbuild)'),
    many('rights', '--allow <entitlement>', 'security.insecure: no walls around the program'),
    many('rights', '--security-opt <option>', '`no-new-privileges`: setuid programs give nothing'),
    flag('rights', '--privileged', '').hideHelp(),
    ...limitOptions(groups.limits),
    ulimitOption(groups.limits),
    flag('limits', '--shm-size <size>', 'Size of /dev/shm (default: 64m)'),
  ]
}

function runCommand(): Command {
  const command = new Command('tsbuild run')
    .usage('[flags] IMAGE [ARGS...]')
    .description("Runs an image's program in a throw-away copy of the image. Ends with its exit code.")
    .argument('<IMAGE>', 'a local image, for example `app:1.0`')
    .argument('[ARGS...]', "replace the image's CMD; flags go before IMAGE")
    .passThroughOptions()
  for (const option of runFlags()) command.addOption(option)
  for (const flags of ignoredFlags) command.addOption(new Option(flags).hideHelp())
  return addGlobalFlags(command)
}
