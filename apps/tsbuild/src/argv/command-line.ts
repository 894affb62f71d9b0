import { parseArguments as parse } from '@tsbuild/command-line'
import type { Command } from 'commander'
import { commands } from '../commands.ts'

export { helpText } from '@tsbuild/command-line'

/** Parses the arguments of one command of tsbuild. @throws as `parseArguments` of `@tsbuild/command-line` */
export function parseArguments(command: Command, argv: readonly string[]): void {
  parse(
    command,
    argv,
    commands.map(({ name }) => name),
  )
}
