import { didYouMean, nearest, UserError } from '@tsbuild/errors'
import { type Command, CommanderError, Option } from 'commander'
import { goBooleans } from './go-booleans.ts'
import { HelpRequested } from './help-requested.ts'

/**
 * Parses the arguments of one command; afterwards its options and arguments can be read from it.
 *
 * @param argv what follows the command's name
 * @param siblings names of the program's commands, one of which may have been mistyped and taken for an argument
 * @throws {UserError} `ERR_USAGE` if the arguments are not the command's
 * @throws {HelpRequested} for `-h` and `--help`
 */
export function parseArguments(
  command: Command,
  argv: readonly string[],
  siblings: readonly string[] = [],
): void {
  withHelpFlag(command)
    .exitOverride()
    .showSuggestionAfterError(false)
    .configureOutput({ writeOut: () => {}, writeErr: () => {} })
  try {
    command.parse(goBooleans(argv, command.options), { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.code === 'commander.helpDisplayed') throw new HelpRequested(helpText(command))
    throw usageError(command, error, siblings)
  }
}

/** The help of a command, 80 columns wide whatever the terminal, so that it reads the same everywhere. */
export function helpText(command: Command): string {
  let text = ''
  withHelpFlag(command).configureOutput({
    writeOut: (part) => {
      text += part
    },
    getOutHelpWidth: () => 80,
    getOutHasColors: () => false,
  })
  command.outputHelp()
  return `${text.trimEnd()}\n`
}

function withHelpFlag(command: Command): Command {
  return command.addHelpOption(new Option('-h, --help', 'Show this help').helpGroup('Help:'))
}

/** Commander's sentences, said in ours. */
function usageError(command: Command, error: CommanderError, siblings: readonly string[]): UserError {
  const words = [...error.message.matchAll(/'([^']*)'/g)].map((match) => match[1] ?? '')
  const first = words[0] ?? ''
  const more = `Run \`${command.name()} --help\` for its flags.`
  switch (error.code) {
    case 'commander.unknownOption':
      return unknownFlag(command, first)
    case 'commander.optionMissingArgument':
      return new UserError('ERR_USAGE', `Cannot use flag "${first}": it needs a value`, { hints: [more] })
    case 'commander.missingMandatoryOptionValue':
      return new UserError('ERR_USAGE', `Cannot run \`${command.name()}\`: flag "${first}" is missing`, {
        hints: [`Usage: ${command.name()} ${command.usage()}`],
      })
    case 'commander.missingArgument':
      return new UserError('ERR_USAGE', `Cannot run \`${command.name()}\`: argument "${first}" is missing`, {
        hints: [`Usage: ${command.name()} ${command.usage()}`],
      })
    case 'commander.excessArguments': {
      const wanted = command.registeredArguments.length
      const got = command.args.map((arg) => JSON.stringify(arg)).join(', ')
      const state = `it takes ${wanted === 0 ? 'no arguments' : wanted === 1 ? 'one argument' : `${wanted} arguments`}, got ${got}`
      return new UserError('ERR_USAGE', `Cannot run \`${command.name()}\`: ${state}`, {
        hints: [...mistypedCommand(command, siblings), `Usage: ${command.name()} ${command.usage()}`],
      })
    }
    default:
      return new UserError('ERR_USAGE', error.message.replace(/^error: /, ''), { hints: [more] })
  }
}

/** `tsbuild bild .` was taken for two contexts. */
function mistypedCommand(command: Command, siblings: readonly string[]): readonly string[] {
  const [first = ''] = command.args
  const [program] = command.name().split(' ')
  const meant = nearest(first, siblings)
  return meant === undefined || meant === first ? [] : [`Did you mean \`${program} ${meant}\`?`]
}

function unknownFlag(command: Command, flag: string): UserError {
  const known = command.options.filter((option) => !option.hidden).map((option) => option.long ?? '')
  return new UserError('ERR_USAGE', `Cannot use flag "${flag}": \`${command.name()}\` has no such flag`, {
    hints: [...didYouMean(flag, [...known, '--help']), `Run \`${command.name()} --help\` for its flags.`],
  })
}
