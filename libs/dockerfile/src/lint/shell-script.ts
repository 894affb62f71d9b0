import { heredocText } from '../heredoc.ts'
import type { RunInstruction } from '../instruction.ts'

/** The body of a `RUN` that is one heredoc and nothing else; undefined for any other. @see spec/dockerfile.md 1.5 */
export function heredocScript({ command, heredocs }: RunInstruction): string | undefined {
  const [first] = heredocs
  if (first === undefined || heredocs.length > 1 || command.form === 'exec') return undefined
  return /^<<-?\s*\S+$/.test(command.text.trim()) ? heredocText(first) : undefined
}

/** The programs that read commands of a shell. */
export function isShell(program: string): boolean {
  return /(?:^|\/)(?:ba|da|a|k|mk|z)?sh$/.test(program)
}

/**
 * The commands of a `RUN`, each as its words without quotes: of its text, of a heredoc that a shell reads, and of
 * `["sh", "-c", "…"]`. Made for rules that look for well-known programs: what a variable or a substitution stands for is not
 * known.
 */
export function commandsOf(instruction: RunInstruction): readonly (readonly string[])[] {
  const { command, heredocs } = instruction
  if (command.form === 'exec') {
    const [program = '', flag = '', script] = command.args
    if (script !== undefined && isShell(program) && /^-[a-z]*c$/.test(flag)) return splitCommands(script)
    return [command.args]
  }
  const script = heredocScript(instruction)
  if (script !== undefined) return splitCommands(script)
  const commands = splitCommands(command.text)
  const reads = commands.some(([program = '']) => isShell(program))
  return [...commands, ...(reads ? heredocs.flatMap((heredoc) => splitCommands(heredocText(heredoc))) : [])]
}

/** Far more than a person writes; open quotes in a line take time by its square. */
const longestLine = 10_000

/** Words before a command that are not its name. */
const prefixes = new Set(
  'if then elif else while until do ! { ( time exec sudo command env nohup eatmydata'.split(' '),
)
const assignment = /^[A-Za-z_]\w*\+?=/

/** Splits a script into simple commands. Bodies of heredocs within it, comments and words of the grammar are left out. */
function splitCommands(script: string): readonly (readonly string[])[] {
  return joinLines(script).flatMap((line) => {
    if (line.length > longestLine) return []
    const commands: string[][] = []
    let words: string[] = []
    for (const token of tokens(line)) {
      if (!token.separates) words.push(token.text)
      else if (words.length > 0) {
        commands.push(words)
        words = []
      }
    }
    if (words.length > 0) commands.push(words)
    return commands.map(withoutPrefix).filter((command) => command.length > 0)
  })
}

function withoutPrefix(words: readonly string[]): readonly string[] {
  const start = words.findIndex((word) => !prefixes.has(word) && !assignment.test(word))
  return start < 0 ? [] : words.slice(start)
}

/** The command lines of a script: continuations joined, comments, blank lines and bodies of heredocs left out. */
export function joinLines(script: string): readonly string[] {
  const lines: string[] = []
  let open: string | undefined
  let parts: string[] = []
  for (const raw of script.split('\n')) {
    const line = raw.trim()
    if (open !== undefined) {
      if (line === open) open = undefined
      continue
    }
    if (line === '' || line.startsWith('#')) continue
    open = /<<-?\s*(["']?)(\w+)\1/.exec(line)?.[2]
    parts.push(line.replace(/\\$/, ''))
    if (/(?:\\|&&|\|\|?)$/.test(line)) continue
    lines.push(parts.join(' '))
    parts = []
  }
  return parts.length === 0 ? lines : [...lines, parts.join(' ')]
}

interface Token {
  readonly text: string
  /** `;`, `&&`, `|` and the like. */
  readonly separates: boolean
}

const token =
  /(?<blank>\s+)|(?<comment>(?<=\s|^)#.*)|(?<separator>&&|\|\||;;|[;&|()\n])|(?<word>(?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|\$\([^)]*\)|`[^`]*`|[^\s;&|()\\"'`$]|\$(?!\()|["'\\`$])+)/gsu

function* tokens(line: string): Generator<Token> {
  // A redirection such as `2>&1` separates nothing.
  for (const { groups } of line.replace(/\d?>&\d?-?/g, ' ').matchAll(token)) {
    if (groups?.separator !== undefined) yield { text: groups.separator, separates: true }
    else if (groups?.word !== undefined) yield { text: groups.word.replace(/["'\\]/g, ''), separates: false }
  }
}
