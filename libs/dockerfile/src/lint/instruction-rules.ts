import type { Dockerfile, Instruction } from '../instruction.ts'
import { type ExposedWord, exposedWords } from './exposed-words.ts'
import { type Finding, perInstruction, type Rule } from './finding.ts'
import { argumentRange, argumentsRange, keywordRange } from './places.ts'
import { looksSecret } from './secrets.ts'

const maintainerDeprecated = perInstruction('MaintainerDeprecated', (instruction) =>
  instruction.kind === 'maintainer'
    ? {
        message: 'Maintainer instruction is deprecated in favor of using label',
        source: keywordRange(instruction),
      }
    : null,
)

const legacyKeyValueFormat = perInstruction('LegacyKeyValueFormat', (instruction, dockerfile) => {
  if ((instruction.kind !== 'env' && instruction.kind !== 'label') || !instruction.legacy) return null
  const { keyword } = instruction
  const message = `"${keyword} key=value" should be used instead of legacy "${keyword} key value" format`
  return { message, source: argumentsRange(dockerfile, instruction) }
})

/** The variables that an instruction declares; the nth is its nth argument. */
function declared(instruction: Instruction): readonly string[] {
  if (instruction.kind === 'env') return instruction.pairs.map(({ key }) => key)
  return instruction.kind === 'arg' ? instruction.args.map(({ name }) => name) : []
}

const secretsUsedInArgOrEnv: Rule = {
  name: 'SecretsUsedInArgOrEnv',
  find: ({ dockerfile }) =>
    dockerfile.instructions.flatMap((instruction) =>
      declared(instruction).flatMap((name, index): readonly Finding[] => {
        if (!looksSecret(name)) return []
        const what = `${instruction.kind.toUpperCase()} "${name}"`
        const message = `Do not use ARG or ENV instructions for sensitive data (${what})`
        return [{ instruction, message, source: argumentRange(dockerfile, instruction, index) }]
      }),
    ),
}

const consistentInstructionCasing: Rule = {
  name: 'ConsistentInstructionCasing',
  find({ dockerfile: { stages } }) {
    const instructions = stages.flatMap((stage): readonly Instruction[] => [
      stage.from,
      ...stage.instructions,
    ])
    const lower = instructions.filter(({ keyword }) => keyword === keyword.toLowerCase()).length
    const upper = instructions.filter(({ keyword }) => keyword === keyword.toUpperCase()).length
    const casing = lower > upper ? 'lowercase' : 'uppercase'
    return instructions
      .filter(({ keyword }) => keyword !== (lower > upper ? keyword.toLowerCase() : keyword.toUpperCase()))
      .map((instruction) => ({
        instruction,
        message: `Command '${instruction.keyword}' should match the case of the command majority (${casing})`,
        source: keywordRange(instruction),
      }))
  },
}

/** Judges each word of the EXPOSE instructions. */
function findPorts(dockerfile: Dockerfile, find: (word: ExposedWord) => string | null): readonly Finding[] {
  return dockerfile.instructions.flatMap((instruction) => {
    if (instruction.kind !== 'expose') return []
    return exposedWords(instruction).flatMap((word, index) => {
      const message = find(word)
      if (message === null) return []
      return [{ instruction, message, source: argumentRange(dockerfile, instruction, index) }]
    })
  })
}

const exposeProtoCasing: Rule = {
  name: 'ExposeProtoCasing',
  find: ({ dockerfile }) =>
    findPorts(dockerfile, ({ text, protocol }) => {
      if (protocol === protocol.toLowerCase()) return null
      return `Defined protocol '${text}' in EXPOSE instruction should be lowercase`
    }),
}

const exposeInvalidFormat: Rule = {
  name: 'ExposeInvalidFormat',
  find: ({ dockerfile }) =>
    findPorts(dockerfile, ({ text, port }) => {
      if (!/[^:]:/.test(port)) return null
      return `EXPOSE instruction should not define an IP address or host-port mapping, found '${text}'`
    }),
}

const invalidDefinitionDescription = perInstruction(
  'InvalidDefinitionDescription',
  (instruction, dockerfile) => {
    const comment = instruction.comments.at(-1)
    const stage = instruction.kind === 'from' ? instruction.stageName : null
    const names = stage === null ? (instruction.kind === 'arg' ? declared(instruction) : []) : [stage]
    const [name] = names
    if (comment === undefined || name === undefined) return null
    const first = comment.split(' ')[0] ?? ''
    // A comment that steers the checks describes nothing.
    if (names.includes(first) || /^check\s*=/i.test(comment)) return null
    const wanted = names.length > 1 ? '<arg_key>' : name
    const message = `Comment for ${instruction.kind.toUpperCase()} should follow the format: \`# ${wanted} <description>\`. If it is not meant to describe it, put \`#\` alone on a line between the two`
    const at = instruction.kind === 'from' ? 2 : 0
    return { message, source: argumentRange(dockerfile, instruction, at) }
  },
)

/** The rules about single instructions and their words. */
export const instructionRules: readonly Rule[] = [
  maintainerDeprecated,
  legacyKeyValueFormat,
  secretsUsedInArgOrEnv,
  consistentInstructionCasing,
  exposeProtoCasing,
  exposeInvalidFormat,
  invalidDefinitionDescription,
]
