/** A command's module. `Host` is what the program takes from the process it runs in. */
export interface CommandModule<Host> {
  /**
   * Runs the command.
   *
   * @param argv what follows the command's name
   * @returns the exit code
   */
  readonly run: (argv: readonly string[], host: Host) => Promise<number>
  /** The text of `--help`. */
  readonly help: () => string
}

/** One row of a program's table of commands. */
export interface CommandRow<Host> {
  /** One word or two. */
  readonly name: string
  readonly usage: string
  readonly summary: string
  /** Loads the command; only the one that runs is loaded. */
  readonly load: () => Promise<CommandModule<Host>>
}

/** The commands of an overview, a line each, and the two words that every program knows. */
export function commandLines(commands: readonly Pick<CommandRow<never>, 'usage' | 'summary'>[]): string {
  const rows = [
    ...commands,
    { usage: 'version', summary: 'Print the version' },
    { usage: 'help [COMMAND]', summary: 'Show this, or the flags of a command' },
  ]
  const width = Math.max(...rows.map(({ usage }) => usage.length)) + 2
  return rows.map(({ usage, summary }) => `  ${usage.padEnd(width)}${summary}`).join('\n')
}
