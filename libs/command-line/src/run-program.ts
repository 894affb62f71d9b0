import type { Writable } from 'node:stream'
import { classifyError } from './classify-error.ts'
import type { CommandRow } from './commands.ts'
import { exitCodeOf, exitCodes } from './exit-code.ts'
import { HelpRequested } from './help-requested.ts'
import { reportError } from './report-error.ts'

/** What {@link runProgram} needs of the process it runs in. */
export interface ProgramHost {
  /** Absolute. */
  readonly cwd: string
  readonly stdout: Writable
  readonly stderr: Writable
}

/** A program of several commands. */
export interface Program<Host extends ProgramHost> {
  readonly name: string
  readonly version: () => string
  /** The text of `--help`. */
  readonly overview: () => string
  /** Shows the stack of every error, not only of our own bugs. */
  readonly debug: boolean
  /**
   * The command that arguments mean, and those of them that are for it. Without one the overview is shown, as a mistake.
   *
   * @throws {UserError} `ERR_USAGE` if they begin with no command
   */
  readonly choose: (
    argv: readonly string[],
  ) => { readonly row: CommandRow<Host>; readonly argv: readonly string[] } | undefined
  /**
   * The command of these words, at least one, which are what follows `help`.
   *
   * @throws {UserError} `ERR_USAGE` if there is none
   */
  readonly find: (words: readonly string[]) => CommandRow<Host>
}

/**
 * Runs what the arguments say: a command, or `help` or `version` in any of their forms. What goes wrong is reported to standard
 * error.
 *
 * @param argv the arguments without the program
 * @returns the exit code; never throws
 */
export async function runProgram<Host extends ProgramHost>(
  program: Program<Host>,
  argv: readonly string[],
  host: Host,
): Promise<number> {
  try {
    return await dispatch(program, argv, host)
  } catch (thrown) {
    if (thrown instanceof HelpRequested) {
      host.stdout.write(thrown.text)
      return exitCodes.success
    }
    const error = classifyError(thrown)
    const code = exitCodeOf(error)
    host.stderr.write(code === exitCodes.cancelled ? 'Cancelled\n' : report(program, error, host))
    return code
  }
}

async function dispatch<Host extends ProgramHost>(
  program: Program<Host>,
  argv: readonly string[],
  host: Host,
): Promise<number> {
  const [first, ...rest] = argv
  switch (first) {
    case '-v':
    case '--version':
    case 'version':
      host.stdout.write(`${program.name} ${program.version()}\n`)
      return exitCodes.success
    case '-h':
    case '--help':
    case 'help':
      host.stdout.write(rest.length === 0 ? program.overview() : (await program.find(rest).load()).help())
      return exitCodes.success
    default: {
      const chosen = program.choose(argv)
      if (chosen !== undefined) return await (await chosen.row.load()).run(chosen.argv, host)
      host.stderr.write(program.overview())
      return exitCodes.usage
    }
  }
}

function report<Host extends ProgramHost>(program: Program<Host>, error: unknown, host: Host): string {
  const { name, version, debug } = program
  return reportError(error, { cwd: host.cwd, debug, program: name, version: version() })
}
