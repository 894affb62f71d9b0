import type { DoctorReport } from '@tsbuild/builder'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { oneOf } from '../argv/values.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { withBuilder } from '../with-builder.ts'

interface DoctorFlags extends GlobalFlags {
  readonly format: 'text' | 'json'
}

/** `tsbuild doctor`: ends with 3 where something is missing. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = doctorCommand()
  parseArguments(command, argv)
  const flags = command.opts<DoctorFlags>()
  const report = await withBuilder(flags, host, (builder) => builder.doctor())
  host.stdout.write(
    flags.format === 'json' ? `${JSON.stringify(report, undefined, 2)}\n` : doctorText(report),
  )
  return report.missing.length === 0 ? exitCodes.success : exitCodes.environment
}

/** The text of `tsbuild doctor --help`. */
export function help(): string {
  return helpText(doctorCommand())
}

function doctorCommand(): Command {
  const command = new Command('tsbuild doctor')
    .usage('[flags]')
    .description('Says what this machine can do and what it lacks. Ends with 3 where something is missing.')
    .addOption(
      new Option('--format <format>', 'text or json')
        .default('text')
        .argParser(oneOf('--format', ['text', 'json'])),
    )
  return addGlobalFlags(command)
}

function doctorText(report: DoctorReport): string {
  const yes = (value: boolean): string => (value ? 'yes' : 'no')
  const facts: readonly (readonly [string, string])[] = [
    ['kernel', report.kernel],
    ['rootless', yes(report.rootless)],
    ['overlayfs', yes(report.overlay)],
    ['user namespaces', yes(report.userNamespace)],
    ['seccomp', yes(report.seccomp)],
    ['cgroups', report.cgroups.map(({ path }) => path).join(' ') || 'no'],
  ]
  const table = facts.map(([name, value]) => `${name.padEnd(18)}${value}\n`).join('')
  if (report.missing.length === 0) return `${table}\nNothing is missing.\n`
  const missing = report.missing.map(
    ({ feature, reason, fix }) => `  ${feature}: ${reason}\n    fix: ${fix}\n`,
  )
  return `${table}\nMissing:\n${missing.join('')}`
}
