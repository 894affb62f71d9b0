import { isBuildError, nearest } from '@tsbuild/errors'
import { expand } from '../expand.ts'
import type { Dockerfile, FromInstruction, Instruction, Stage } from '../instruction.ts'
import { globalArgNames, isGlobalArg } from '../predefined-args.ts'
import { type Finding, perInstruction, type Rule } from './finding.ts'
import { argumentRange, argumentsRange, flagRange, matchRange } from './places.ts'
import { shellsOf } from './shells.ts'

const RESERVED = new Set(['context', 'scratch'])

/** The words of `FROM image AS name`. */
const AS = 1
const NAME = 2

const stageNameCasing = perInstruction('StageNameCasing', (instruction, dockerfile) => {
  const written = instruction.kind === 'from' ? instruction.stageNameText : null
  if (written === null || written === written.toLowerCase()) return null
  const message = `Stage name '${written}' should be lowercase`
  return { message, source: argumentRange(dockerfile, instruction, NAME) }
})

const reservedStageName = perInstruction('ReservedStageName', (instruction, dockerfile) => {
  const name = instruction.kind === 'from' ? instruction.stageName : null
  if (name === null || !RESERVED.has(name)) return null
  const message = `Stage name should not use the same name as reserved stage "${name}"`
  return { message, source: argumentRange(dockerfile, instruction, NAME) }
})

const fromAsCasing = perInstruction('FromAsCasing', (instruction, dockerfile) => {
  if (instruction.kind !== 'from' || instruction.asKeyword === null) return null
  const { keyword, asKeyword } = instruction
  const lower = keyword === keyword.toLowerCase()
  // A word of mixed case is ConsistentInstructionCasing's.
  if (!lower && keyword !== keyword.toUpperCase()) return null
  const wanted = lower ? asKeyword.toLowerCase() : asKeyword.toUpperCase()
  if (wanted === asKeyword) return null
  const message = `'${asKeyword}' and '${keyword}' keywords' casing do not match`
  return { message, source: argumentRange(dockerfile, instruction, AS) }
})

const duplicateStageName: Rule = {
  name: 'DuplicateStageName',
  find({ dockerfile }) {
    const seen = new Set<string>()
    return dockerfile.stages.flatMap(({ name, from }) => {
      if (name === null || !seen.has(name)) {
        if (name !== null) seen.add(name)
        return []
      }
      const message = `Duplicate stage name "${name}", stage names should be unique`
      return [{ instruction: from, message, source: argumentRange(dockerfile, from, NAME) }]
    })
  },
}

const redundantTargetPlatform = perInstruction('RedundantTargetPlatform', (instruction, dockerfile) => {
  const platform = instruction.kind === 'from' ? instruction.platform : null
  if (platform === null || !/^\$(?:TARGETPLATFORM|\{TARGETPLATFORM\})$/.test(platform)) return null
  const message = `Setting platform to predefined ${platform} in FROM is redundant as this is the default behavior`
  return { message, source: flagRange(dockerfile, instruction, 0) }
})

const fromPlatformFlagConstDisallowed = perInstruction(
  'FromPlatformFlagConstDisallowed',
  (instruction, dockerfile) => {
    if (instruction.kind !== 'from' || instruction.platform === null) return null
    const { platform, stageName } = instruction
    if (platform.includes('$')) return null
    // A stage that says its platform in its name means it.
    const [os = '', architecture = ''] = platform.split('/')
    if ([os, architecture].some((part) => part !== '' && stageName?.includes(part))) return null
    const message = `FROM --platform flag should not use constant value "${platform}"`
    return { message, source: flagRange(dockerfile, instruction, 0) }
  },
)

/** The names that the words of a FROM use. A substitution that fails is the parser's to say. */
function namesIn(words: readonly string[], dockerfile: Dockerfile): ReadonlySet<string> {
  const names = new Set<string>()
  const { escape: escapeToken } = dockerfile
  for (const word of words) {
    try {
      expand(word, () => undefined, { escape: escapeToken, onName: (name) => names.add(name) })
    } catch (error) {
      if (!isBuildError(error) || error.code !== 'ERR_DOCKERFILE_EXPANSION') throw error
    }
  }
  return names
}

function undeclaredIn(from: FromInstruction, dockerfile: Dockerfile): readonly Finding[] {
  const declared = dockerfile.globalArgs.flatMap(({ args }) => args.map(({ name }) => name))
  const names = namesIn([from.platform ?? '', from.image], dockerfile)
  return [...names]
    .filter((name) => !declared.includes(name) && !isGlobalArg(name))
    .map((name) => {
      const meant = nearest(name.slice(0, 128), [...declared, ...globalArgNames])
      const guess = meant === undefined ? '' : ` (did you mean ${meant}?)`
      const use = new RegExp(`\\$(?:${name}|\\{${name}[^}]*\\}?)`, 'u')
      return {
        instruction: from,
        message: `FROM argument '${name}' is not declared${guess}`,
        source: matchRange(dockerfile, from, use),
      }
    })
}

const undefinedArgInFrom: Rule = {
  name: 'UndefinedArgInFrom',
  find: ({ dockerfile }) => dockerfile.stages.flatMap(({ from }) => undeclaredIn(from, dockerfile)),
}

/** Earlier instructions of the kind, of which only the last counts: they are the ones in vain. */
function findEarlier(stage: Stage, kind: Instruction['kind']): readonly Finding[] {
  const same = stage.instructions.filter((instruction) => instruction.kind === kind)
  return same.slice(0, -1).map((instruction, index) => {
    const word = same[index + 1]?.keyword ?? instruction.keyword
    const reason = 'should not be used in the same stage because only the last one will be used'
    return { instruction, message: `Multiple ${word} instructions ${reason}` }
  })
}

const multipleInstructionsDisallowed: Rule = {
  name: 'MultipleInstructionsDisallowed',
  find: ({ dockerfile: { stages } }) =>
    stages.flatMap((stage) =>
      (['cmd', 'entrypoint', 'healthcheck'] as const).flatMap((kind) => findEarlier(stage, kind)),
    ),
}

const jsonArgsRecommended: Rule = {
  name: 'JSONArgsRecommended',
  find(input) {
    const shells = shellsOf(input)
    return input.dockerfile.stages.flatMap(({ instructions }) =>
      instructions.flatMap((instruction): readonly Finding[] => {
        const runs = instruction.kind === 'cmd' || instruction.kind === 'entrypoint'
        // Who sets a shell wants one.
        if (!runs || instruction.command.form === 'exec' || shells.get(instruction) !== undefined) return []
        const reason = 'to prevent unintended behavior related to OS signals'
        const message = `JSON arguments recommended for ${instruction.keyword} ${reason}`
        return [{ instruction, message, source: argumentsRange(input.dockerfile, instruction) }]
      }),
    )
  },
}

/** The rules about stages and what stands in them. */
export const stageRules: readonly Rule[] = [
  stageNameCasing,
  reservedStageName,
  fromAsCasing,
  duplicateStageName,
  undefinedArgInFrom,
  redundantTargetPlatform,
  fromPlatformFlagConstDisallowed,
  multipleInstructionsDisallowed,
  jsonArgsRecommended,
]
