import { relative } from 'node:path'
import type { Checked, Finding, VerifyReport } from '@tsbuild/builder'
import { formatSize, oneOf, visible } from '@tsbuild/command-line'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { builderOptions } from '../settings/builder-options.ts'

interface VerifyFlags extends GlobalFlags {
  readonly repair?: true
  readonly format: 'text' | 'json'
}

/** `tsbuild verify`: ends with 0 for a sound store and 1 where damage is left. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = verifyCommand()
  parseArguments(command, argv)
  const flags = command.opts<VerifyFlags>()
  const options = await builderOptions(flags, host)
  const abort = new AbortController()
  const stop = host.onSignal(() => {
    if (abort.signal.aborted) host.exitNow(130)
    abort.abort()
  })
  const onFinding = (finding: Finding) => host.stdout.write(findingText(finding, options.root))
  try {
    const report = await host.verifyStore({
      ...options,
      repair: flags.repair === true,
      signal: abort.signal,
      ...(flags.format === 'text' ? { onFinding } : {}),
    })
    host.stdout.write(flags.format === 'json' ? `${JSON.stringify(report, undefined, 2)}\n` : summary(report))
    return report.sound ? exitCodes.success : exitCodes.damaged
  } finally {
    stop()
  }
}

/** The text of `tsbuild verify --help`. */
export function help(): string {
  return helpText(verifyCommand())
}

function verifyCommand(): Command {
  const command = new Command('tsbuild verify')
    .usage('[flags]')
    .description(
      'Reads everything in the store and says what is damaged. Builds may go on meanwhile. Ends with 1 where damage is left.',
    )
    .option('--repair', 'Take out what is damaged: it is fetched or made again when it is needed')
    .addOption(
      new Option('--format <format>', 'text or json')
        .default('text')
        .argParser(oneOf('--format', ['text', 'json'])),
    )
  return addGlobalFlags(command)
}

const losses = {
  nothing: '',
  work: ' The next build makes it again.',
  data: ' It cannot be made again.',
} as const

/** Two lines: what and what is wrong; what is done about it. */
function findingText(finding: Finding, root: string): string {
  const { kind, severity, path, problem, repair, loses, outcome } = finding
  const place = relative(root, path) || '.'
  const first = `${severity === 'damage' ? 'damaged' : 'notice '}  ${kind} ${visible(place)}: ${visible(problem)}`
  const second =
    repair === undefined
      ? 'It is left alone.'
      : outcome === 'in-use'
        ? 'Not repaired: a build uses it.'
        : `${outcome === undefined ? 'With --repair it' : 'It'} ${repair}.${losses[loses]}`
  return `${first}\n         ${second}\n`
}

function summary({ sound, findings, checked }: VerifyReport): string {
  const damages = findings.filter(({ severity }) => severity === 'damage')
  const left = damages.filter(({ outcome }) => outcome !== 'repaired')
  const end =
    damages.length === 0
      ? 'Nothing is damaged.'
      : left.length === 0
        ? `${counted(damages.length, 'damage')} repaired.`
        : `${counted(left.length, 'damage')} left${left.length < damages.length ? `, ${damages.length - left.length} repaired` : ''}.`
  return `${findings.length > 0 ? '\n' : ''}${checkedText(checked)}\n${sound ? end : `${end} \`tsbuild verify --repair\` mends what it can.`}\n`
}

function checkedText(checked: Checked): string {
  const { blobs, blobBytes, snapshots, withoutDigest, records, foreignRecords, images } = checked
  const parts = [
    `${counted(images, 'image')}`,
    `${counted(blobs, 'blob')} (${formatSize(blobBytes)})`,
    `${counted(snapshots, 'snapshot')}${withoutDigest > 0 ? ` (with sources, ${withoutDigest} have no digest of their files)` : ''}`,
    `${counted(records, 'record')}${foreignRecords > 0 ? ` (${foreignRecords} of another version)` : ''}`,
  ]
  return `Checked ${parts.join(', ')}.`
}

function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
