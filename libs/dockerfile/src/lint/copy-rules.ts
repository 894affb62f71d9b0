import type { AddInstruction, CopyInstruction, Instruction, RunInstruction, Stage } from '../instruction.ts'
import type { Finding, Rule } from './finding.ts'
import { argumentRange } from './places.ts'
import { commandsOf } from './shell-script.ts'

/** A way to install dependencies that reads a few known files and no other of the context. */
interface Installer {
  readonly name: string
  readonly matches: (words: readonly string[]) => boolean
}

/** Words after which a program runs something of the project: `npm run ci`. */
const runners = new Set(['run', 'run-script', 'exec'])

/** `npm ci`, `npm --prefix web ci`: a program with one of these words among its arguments. */
function verb(name: string, programs: RegExp, verbs: readonly string[]): Installer {
  return {
    name,
    matches: ([program = '', ...rest]) =>
      programs.test(program) &&
      rest.some((word) => verbs.includes(word)) &&
      !rest.some((word) => isLocalPath(word) || runners.has(word)),
  }
}

/** `pip install .` and `apt-get install ./x.deb` need what was copied. */
function isLocalPath(word: string): boolean {
  return /^\.{1,2}(?:\/|\[|$)|^\/.*\.(?:deb|rpm|apk|whl|tgz|gz)$|^file:/.test(word)
}

const installers: readonly Installer[] = [
  verb('npm ci', /^npm$/, ['ci', 'clean-install']),
  verb('npm install', /^npm$/, ['install', 'i']),
  verb('pnpm install', /^pnpm$/, ['install', 'i']),
  {
    name: 'yarn install',
    matches: ([program, ...rest]) =>
      program === 'yarn' && (rest[0] === 'install' || rest.every((word) => word.startsWith('-'))),
  },
  {
    name: 'pip install',
    matches: (words) => {
      const rest = /^python[\d.]*$/.test(words[0] ?? '') && words[1] === '-m' ? words.slice(2) : words
      if (!/^pip[\d.]*$/.test(rest[0] ?? '') || !rest.includes('install')) return false
      return !rest.some((word) => isLocalPath(word) || word === '-e' || word === '--editable')
    },
  },
  verb('bundle install', /^bundle$/, ['install']),
  verb('go mod download', /^go$/, ['download']),
  verb('cargo fetch', /^cargo$/, ['fetch']),
  verb('composer install', /^composer(?:\.phar)?$/, ['install']),
  verb('apt-get install', /^(?:apt-get|apt|aptitude)$/, ['install']),
  verb('apk add', /^apk$/, ['add']),
  verb('dnf install', /^(?:micro|tdn)?(?:dnf|yum)$/, ['install']),
]

/** Where the whole context is among the sources; undefined where it is not. */
function wholeContext(instruction: CopyInstruction | AddInstruction): number | undefined {
  if (instruction.kind === 'copy' && instruction.from !== null) return undefined
  if (instruction.exclude.length > 0) return undefined
  const at = instruction.sources.findIndex((source) => /^(?:\.\/?|\/|(?:\.\/)?\*)$/.test(source))
  return at < 0 ? undefined : at
}

interface Installation {
  readonly name: string
  readonly line: number
}

function installationsOf(run: RunInstruction): readonly Installation[] {
  // What a cache mount keeps is not fetched again.
  if (run.mounts.some(({ fields }) => fields.some(({ key, value }) => key === 'type' && value === 'cache')))
    return []
  return commandsOf(run).flatMap((words) => {
    const installer = installers.find(({ matches }) => matches(words))
    return installer === undefined ? [] : [{ name: installer.name, line: run.source.startLine }]
  })
}

/** The first installation after an instruction that was not done before it already: who splits it in two knows the cache. */
function laterInstallation(
  before: readonly Instruction[],
  after: readonly Instruction[],
): Installation | undefined {
  const known = new Set(installed(before).map(({ name }) => name))
  return installed(after).find(({ name }) => !known.has(name))
}

function installed(instructions: readonly Instruction[]): readonly Installation[] {
  return instructions.flatMap((instruction) =>
    instruction.kind === 'run' ? installationsOf(instruction) : [],
  )
}

interface WholeCopy {
  readonly instruction: CopyInstruction | AddInstruction
  readonly position: number
  readonly argument: number
}

/** The first one of the stage: a later one copies nothing new. */
function firstWholeCopy({ instructions }: Stage): WholeCopy | undefined {
  for (const [position, instruction] of instructions.entries()) {
    if (instruction.kind !== 'copy' && instruction.kind !== 'add') continue
    const argument = wholeContext(instruction)
    if (argument !== undefined) return { instruction, position, argument }
  }
  return undefined
}

/** A `COPY . …` above an installation of dependencies, which then runs again after every change of any file. */
export const copyBeforeInstall: Rule = {
  name: 'CopyBeforeInstall',
  find: ({ dockerfile }) =>
    dockerfile.stages.flatMap((stage): readonly Finding[] => {
      const copy = firstWholeCopy(stage)
      if (copy === undefined) return []
      const { instruction, position, argument } = copy
      const found = laterInstallation(
        stage.instructions.slice(0, position),
        stage.instructions.slice(position + 1),
      )
      if (found === undefined) return []
      const word = instruction.keyword.toUpperCase()
      const message = `${word} of the whole context comes before \`${found.name}\` (line ${found.line}), which runs again after a change of any file. Copy only the files that it reads, install, then copy the rest`
      return [{ instruction, message, source: argumentRange(dockerfile, instruction, argument) }]
    }),
}
