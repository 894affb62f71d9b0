import type { Dockerfile, Instruction } from '../instruction.ts'
import { type Finding, perInstruction, type Rule } from './finding.ts'

const SECRET = /(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i
const NO_SECRET = /(?:_|^)(?:public|file|version)(?:_|$)/i

const maintainerDeprecated = perInstruction('MaintainerDeprecated', ({ kind }) =>
  kind === 'maintainer' ? 'Maintainer instruction is deprecated in favor of using label' : null,
)

const legacyKeyValueFormat = perInstruction('LegacyKeyValueFormat', (instruction) => {
  if ((instruction.kind !== 'env' && instruction.kind !== 'label') || !instruction.legacy) return null
  const { keyword } = instruction
  return `"${keyword} key=value" should be used instead of legacy "${keyword} key value" format`
})

/** The variables that an instruction declares. */
function declared(instruction: Instruction): readonly string[] {
  if (instruction.kind === 'env') return instruction.pairs.map(({ key }) => key)
  return instruction.kind === 'arg' ? instruction.args.map(({ name }) => name) : []
}

const secretsUsedInArgOrEnv: Rule = {
  name: 'SecretsUsedInArgOrEnv',
  find: ({ instructions }) =>
    instructions.flatMap((instruction) =>
      declared(instruction)
        .filter((name) => SECRET.test(name) && !NO_SECRET.test(name))
        .map((name) => ({
          instruction,
          message: `Do not use ARG or ENV instructions for sensitive data (${instruction.kind.toUpperCase()} "${name}")`,
        })),
    ),
}

const consistentInstructionCasing: Rule = {
  name: 'ConsistentInstructionCasing',
  find({ stages }: Dockerfile) {
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
      }))
  },
}

/** The words of an `EXPOSE` that hold no variable, so that they can be judged without an environment. */
function findPorts(dockerfile: Dockerfile, find: (word: string) => string | null): readonly Finding[] {
  return dockerfile.instructions.flatMap((instruction) => {
    if (instruction.kind !== 'expose') return []
    return instruction.ports.flatMap((word) => {
      const message = word.includes('$') ? null : find(word)
      return message === null ? [] : [{ instruction, message }]
    })
  })
}

const exposeProtoCasing: Rule = {
  name: 'ExposeProtoCasing',
  find: (dockerfile) =>
    findPorts(dockerfile, (word) => {
      const protocol = word.split('/')[1] ?? ''
      if (protocol === protocol.toLowerCase()) return null
      return `Defined protocol '${word}' in EXPOSE instruction should be lowercase`
    }),
}

const exposeInvalidFormat: Rule = {
  name: 'ExposeInvalidFormat',
  find: (dockerfile) =>
    findPorts(dockerfile, (word) => {
      if (!/[^:]:/.test(word)) return null
      return `EXPOSE instruction should not define an IP address or host-port mapping, found '${word}'`
    }),
}

const invalidDefinitionDescription: Rule = {
  ...perInstruction('InvalidDefinitionDescription', (instruction) => {
    const comment = instruction.comments.at(-1)
    const stage = instruction.kind === 'from' ? instruction.stageName : null
    const names = stage === null ? (instruction.kind === 'arg' ? declared(instruction) : []) : [stage]
    const [name] = names
    if (comment === undefined || name === undefined || names.includes(comment.split(' ')[0] ?? ''))
      return null
    const wanted = names.length > 1 ? '<arg_key>' : name
    return `Comment for ${instruction.kind.toUpperCase()} should follow the format: \`# ${wanted} <description>\``
  }),
  experimental: true,
}

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
