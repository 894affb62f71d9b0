import type { Capability, DoctorReport } from '@tsbuild/builder'
import { oneOf } from '@tsbuild/command-line'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { withBuilder } from '../with-builder.ts'

interface DoctorFlags extends GlobalFlags {
  readonly format: 'text' | 'json'
}

/** `tsbuild doctor`: ends with 3 where something is missing that builds cannot run without. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = doctorCommand()
  parseArguments(command, argv)
  const flags = command.opts<DoctorFlags>()
  const report = await withBuilder(flags, host, (builder) => builder.doctor())
  host.stdout.write(
    flags.format === 'json' ? `${JSON.stringify(report, undefined, 2)}\n` : doctorText(report),
  )
  return report.capabilities.every(isGood) ? exitCodes.success : exitCodes.environment
}

/** The text of `tsbuild doctor --help`. */
export function help(): string {
  return helpText(doctorCommand())
}

function doctorCommand(): Command {
  const command = new Command('tsbuild doctor')
    .usage('[flags]')
    .description(
      'Says what this machine can do, what it lacks and how to mend that. Ends with 3 where no build can run.',
    )
    .addOption(
      new Option('--format <format>', 'text or json')
        .default('text')
        .argParser(oneOf('--format', ['text', 'json'])),
    )
  return addGlobalFlags(command)
}

/** Whether builds can run with it, or without. */
function isGood({ works, required }: Capability): boolean {
  return works || !required
}

/** As wide as the longest name of a capability, and a blank. */
const nameWidth = 18

function doctorText({ kernel, rootless, capabilities }: DoctorReport): string {
  const who = rootless ? 'an ordinary user' : 'root'
  const rows = capabilities.map(capabilityText)
  return `Kernel ${kernel}, as ${who}\n\n${rows.join('')}\n${summary(capabilities)}\n`
}

function capabilityText({ name, works, detail, without, fixes }: Capability): string {
  const first = `  ${works ? 'yes' : 'no '}  ${name.padEnd(nameWidth)}${detail}`
  const others = [...(works || without === undefined ? [] : [without]), ...fixes.map((fix) => `Fix: ${fix}`)]
  return [first, ...others.map((line) => `${' '.repeat(nameWidth + 7)}${line}`)]
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}

function summary(capabilities: readonly Capability[]): string {
  const lacking = capabilities.filter(({ works }) => !works)
  const bad = lacking.filter(({ required }) => required)
  if (bad.length > 0) return `No build can run here without ${bad.map(({ name }) => name).join(', ')}.`
  if (lacking.length > 0) return 'Builds can run here.'
  return 'Nothing is missing.'
}
