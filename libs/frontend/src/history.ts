import type { CommandLine } from '@tsbuild/dockerfile'
import type { HistoryEntry } from '@tsbuild/oci'

/**
 * The words of a history entry, as Docker and BuildKit write them. @see spec/dockerfile.md 1.6
 */
export const history = {
  run: (args: readonly string[], command: readonly string[]): string =>
    `RUN ${args.length === 0 ? '' : `|${args.length} ${args.join(' ')} `}${command.join(' ')} # buildkit`,
  list: (keyword: string, words: readonly string[]): string => `${keyword} [${words.join(' ')}]`,
  command: (keyword: string, command: readonly string[]): string => `${keyword} ${quoted(command)}`,
}

/** A list of strings as Go's `%q` prints it. */
function quoted(words: readonly string[]): string {
  return `[${words.map((word) => JSON.stringify(word)).join(' ')}]`
}

/** The argv of a command in its stage's shell. */
export function argvOf(command: CommandLine, shell: readonly string[]): readonly string[] {
  return command.form === 'exec' ? command.args : [...shell, command.text]
}

/**
 * The history of a base image with one entry for each of its layers: some images have none, or too few.
 */
export function completeHistory(history: readonly HistoryEntry[], layers: number): readonly HistoryEntry[] {
  const withLayer = history.filter((entry) => entry.emptyLayer !== true).length
  if (withLayer === layers) return history
  if (withLayer > layers) return Array.from({ length: layers }, () => ({ comment: 'imported' }))
  return [...history, ...Array.from({ length: layers - withLayer }, () => ({ comment: 'imported' }))]
}
