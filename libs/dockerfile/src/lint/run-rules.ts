import type { CommandLine, Instruction, RunInstruction } from '../instruction.ts'
import { type Finding, type LintInput, perInstruction, type Rule } from './finding.ts'
import { matchRange } from './places.ts'
import { commandsOf, heredocScript, isShell, joinLines } from './shell-script.ts'
import { shellsOf } from './shells.ts'

const defaultShell: readonly string[] = ['/bin/sh', '-c']

/** Whether the arguments of a shell make it end at the first command that fails: `-e`, `-eux`, `-o errexit`. */
function endsAtFailure(shell: readonly string[]): boolean {
  return shell.some((word, index) => {
    const isFlags = /^-[A-Za-z]+$/.test(word)
    return (
      (isFlags && word.includes('e')) || (word === 'errexit' && /^-[A-Za-z]*o$/.test(shell[index - 1] ?? ''))
    )
  })
}

/** `set -e` in any of its spellings, as a command of its own or before others. */
const setsErrexit = /(?:^|[;&{(]\s*)set\s+(?:[-+]\w+\s+)*?(?:-[A-Za-z]*e|-[A-Za-z]*o\s+errexit\b)/

/** Words of the grammar, and commands whose failure means nothing. */
const harmless =
  /^(?:then|do|else|fi|done|esac|;;|[{}()]|:|true|(?:echo|printf|set|shopt|trap|umask|unset|exit|return)\b.*|(?:(?:export|local|readonly|declare)\s+)?[A-Za-z_]\w*=(?:"[^"`$]*"|'[^']*'|[^\s`$]*))\s*;?$/
/** Its author has said what happens when it fails. */
const handled = /\|\|\s*\S/

/** Whether a command fails without an effect: not the last one, whose status is that of the step. */
function losesFailures(script: string): boolean {
  const lines = joinLines(script)
  if (lines.some((line) => setsErrexit.test(line))) return false
  return lines.slice(0, -1).some((line) => !harmless.test(line) && !handled.test(line))
}

const heredocWithoutErrexit: Rule = {
  name: 'HeredocWithoutErrexit',
  find(input: LintInput) {
    const shells = shellsOf(input)
    return runsOf(input).flatMap((instruction): readonly Finding[] => {
      const script = heredocScript(instruction)
      const shell = shells.get(instruction) ?? defaultShell
      if (script === undefined || script.startsWith('#!')) return []
      if (!isShell(shell[0] ?? '') || endsAtFailure(shell.slice(1)) || !losesFailures(script)) return []
      const message =
        'The commands of this heredoc go on after one that fails, since only the status of the last one counts. Begin it with `set -e`'
      return [{ instruction, message, source: matchRange(input.dockerfile, instruction, /<<-?\s*\S+/) }]
    })
  },
}

function runsOf({ dockerfile }: LintInput): readonly RunInstruction[] {
  return dockerfile.instructions.filter((found: Instruction): found is RunInstruction => found.kind === 'run')
}

const aptPrograms = new Set(['apt-get', 'apt', 'aptitude'])
/** Programs that bring nothing from the lists that `update` fetched. */
const bystanders = new Set(
  '[ [[ : add-apt-repository apt-config apt-key apt-mark awk cat cd chmod chown cp dpkg echo export false gpg grep install ln ls mkdir mv printf rm sed set sleep tee test touch true wget'.split(
    ' ',
  ),
)

function isAptCommand(words: readonly string[], ...names: readonly string[]): boolean {
  return aptPrograms.has(words[0] ?? '') && words.slice(1).some((word) => names.includes(word))
}

/** Whether a `RUN` fetches package lists and does nothing with them. A program that is not known may. */
function updatesOnly(instruction: RunInstruction): boolean {
  const commands = commandsOf(instruction)
  if (!commands.some((words) => isAptCommand(words, 'update'))) return false
  // Lists in a cache mount are there for the next step too.
  if (instruction.mounts.some(({ text }) => text.includes('/var/lib/apt') || text.includes('/var/lib/dpkg')))
    return false
  return commands.every(
    (words) =>
      isAptCommand(words, 'update', 'clean', 'autoclean', 'autoremove') || bystanders.has(words[0] ?? ''),
  )
}

const aptGetUpdateAlone = perInstruction('AptGetUpdateAlone', (instruction, dockerfile) => {
  if (instruction.kind !== 'run' || !updatesOnly(instruction)) return null
  const message =
    '`apt-get update` alone in a step comes out of the cache with old package lists when a later step changes. Put it into one RUN with `apt-get install`'
  const use = exec(instruction.command) ? /"update"/ : /\b(?:apt-get|apt|aptitude)\b[^;&|]{0,200}?\bupdate\b/
  return { message, source: matchRange(dockerfile, instruction, use) }
})

function exec(command: CommandLine): boolean {
  return command.form === 'exec' && aptPrograms.has(command.args[0] ?? '')
}

/** Our rules about what a RUN runs. */
export const runRules: readonly Rule[] = [heredocWithoutErrexit, aptGetUpdateAlone]
