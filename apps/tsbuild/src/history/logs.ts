import type { Builder, BuildLog, BuildStep, LogChunk } from '@tsbuild/builder'
import { oneOf, parseWhole, visible } from '@tsbuild/command-line'
import { sizeText, UserError } from '@tsbuild/errors'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import type { CommandModule } from '../commands.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { withBuilder } from '../with-builder.ts'
import { createLogPrinter } from './log-printer.ts'
import { createOutlet, type Outlet } from './outlet.ts'

interface LogsFlags extends GlobalFlags {
  readonly follow?: true
  readonly timestamps?: true
  readonly tail?: string
  readonly stream?: 'stdout' | 'stderr'
}

/** `tsbuild logs [REF [STEP]]`: to a terminal with control characters made visible, elsewhere byte for byte. */
export const logs: CommandModule = {
  async run(argv, host) {
    const command = logsCommand()
    parseArguments(command, argv)
    const flags = command.opts<LogsFlags>()
    const [ref, step] = command.args
    if (flags.follow === true && step === undefined)
      throw new UserError(
        'ERR_USAGE',
        'Cannot follow a build: expected a step, as in `tsbuild logs -f ^0 2/4`',
      )
    return await withBuilder(flags, host, async (builder: Builder, signal) => {
      const { follow, stream } = flags
      const tail = flags.tail === undefined ? undefined : parseWhole('--tail', flags.tail, [0, 1e9])
      const log = await builder.buildLog(ref, step, { follow, stream, tail, signal })
      await print(log, step === undefined, { builder, outlet: createOutlet(host.stdout), flags, host })
      return signal.aborted ? exitCodes.cancelled : exitCodes.success
    })
  },
  help: () => helpText(logsCommand()),
}

function logsCommand(): Command {
  const command = new Command('tsbuild logs')
    .usage('[flags] [REF [STEP]]')
    .description(
      'Prints what the steps of a build wrote, all of it and both streams in order. Nothing is changed, except that a terminal is shown control characters instead of obeying them.',
    )
    .argument(
      '[REF]',
      'of `tsbuild history ls`: a beginning is enough; `^1` is the one before the newest (default: the newest)',
    )
    .argument(
      '[STEP]',
      'its number in `tsbuild history show`, a part of its name, or the beginning of its digest',
    )
    .option('-f, --follow', 'Go on until the step has ended')
    .option('-t, --timestamps', 'Begin each line with its time')
    .option('-n, --tail <lines>', 'Only the last so many lines')
    .addOption(
      new Option('--stream <stream>', 'Only stdout or stderr').argParser(
        oneOf('--stream', ['stdout', 'stderr']),
      ),
    )
  return addGlobalFlags(command)
}

/** @param isAll no step was asked for: those that wrote something come one after the other, each with its name */
async function print({ build, steps }: BuildLog, isAll: boolean, printing: Printing): Promise<void> {
  const { outlet, host, builder } = printing
  const [first] = steps
  if (first === undefined) {
    host.stderr.write(`Note: no step of build ${build.ref.slice(0, 12)} wrote anything\n`)
    return
  }
  for (const { step, chunks } of steps) {
    if (isAll) await outlet.write(`${step === first.step ? '' : '\n'}==> ${titleOf(step)} <==\n`)
    const endsLine = await printStep(chunks, printing)
    // What comes next is ours, or the shell's.
    if (!endsLine && (isAll || host.stdout.isTTY === true)) await outlet.write('\n')
    if (outlet.isClosed()) return
    host.stderr.write(await noteOf(step, builder))
  }
}

interface Printing {
  readonly builder: Builder
  readonly outlet: Outlet
  readonly flags: LogsFlags
  readonly host: Host
}

/** @returns whether the step wrote a whole line last */
async function printStep(
  chunks: AsyncIterable<LogChunk>,
  { outlet, flags, host }: Printing,
): Promise<boolean> {
  const printer = createLogPrinter({
    timestamps: flags.timestamps === true,
    forTerminal: host.stdout.isTTY === true,
  })
  for await (const chunk of chunks) {
    await outlet.write(printer.push(chunk))
    if (outlet.isClosed()) return true
  }
  await outlet.write(printer.end())
  return printer.endsLine()
}

function titleOf({ number, name }: BuildStep): string {
  return `${number} ${visible(name.replace(/\s+/g, ' ')).slice(0, 100)}`
}

/** Why there is less than one may expect. */
async function noteOf(step: BuildStep, builder: Builder): Promise<string> {
  const { outcome, log } = step
  const shown = `step ${titleOf(step)}`
  if (log.lostBytes > 0)
    return `Note: the last ${sizeText(log.lostBytes)} of ${shown} are missing: the disk was full\n`
  if (log.bytes > 0 || outcome === 'running') return ''
  if (outcome === 'cached') return `Note: ${shown} came from the cache${await whereItRan(step, builder)}\n`
  return `Note: ${shown} wrote nothing\n`
}

/**
 * The output of a cached step is with a build that ran it, as long as one is kept. By name: the digest of a step that was forced to run is
 * another one. The last one may have had other files, too.
 */
async function whereItRan({ name }: BuildStep, builder: Builder): Promise<string> {
  const { builds } = await builder.builds()
  for (const { ref, steps } of builds) {
    const ran = steps.find((step) => step.name === name && step.outcome === 'completed')
    if (ran !== undefined)
      return `; its output when it last ran: \`tsbuild logs ${ref.slice(0, 12)} ${ran.number}\``
  }
  return '; no build that is kept ran it'
}
