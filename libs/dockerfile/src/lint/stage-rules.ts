import type { Dockerfile, Instruction, Stage } from '../instruction.ts'
import { type Finding, perInstruction, type Rule } from './finding.ts'

const RESERVED = new Set(['context', 'scratch'])

const stageNameCasing = perInstruction('StageNameCasing', (instruction) => {
  const written = instruction.kind === 'from' ? instruction.stageNameText : null
  if (written === null || written === written.toLowerCase()) return null
  return `Stage name '${written}' should be lowercase`
})

const reservedStageName = perInstruction('ReservedStageName', (instruction) => {
  const name = instruction.kind === 'from' ? instruction.stageName : null
  if (name === null || !RESERVED.has(name)) return null
  return `Stage name should not use the same name as reserved stage "${name}"`
})

const fromAsCasing = perInstruction('FromAsCasing', (instruction) => {
  if (instruction.kind !== 'from' || instruction.asKeyword === null) return null
  const { keyword, asKeyword } = instruction
  const lower = keyword === keyword.toLowerCase()
  // A word of mixed case is ConsistentInstructionCasing's.
  if (!lower && keyword !== keyword.toUpperCase()) return null
  const wanted = lower ? asKeyword.toLowerCase() : asKeyword.toUpperCase()
  return wanted === asKeyword ? null : `'${asKeyword}' and '${keyword}' keywords' casing do not match`
})

const duplicateStageName: Rule = {
  name: 'DuplicateStageName',
  find({ stages }) {
    const seen = new Set<string>()
    return stages.flatMap(({ name, from }) => {
      if (name === null) return []
      if (seen.has(name))
        return [
          { instruction: from, message: `Duplicate stage name "${name}", stage names should be unique` },
        ]
      seen.add(name)
      return []
    })
  },
}

const redundantTargetPlatform = perInstruction('RedundantTargetPlatform', (instruction) => {
  const platform = instruction.kind === 'from' ? instruction.platform : null
  if (platform === null || !/^\$(?:TARGETPLATFORM|\{TARGETPLATFORM\})$/.test(platform)) return null
  return `Setting platform to predefined ${platform} in FROM is redundant as this is the default behavior`
})

const fromPlatformFlagConstDisallowed = perInstruction('FromPlatformFlagConstDisallowed', (instruction) => {
  if (instruction.kind !== 'from' || instruction.platform === null) return null
  const { platform, stageName } = instruction
  if (platform.includes('$')) return null
  // A stage that says its platform in its name means it.
  const [os = '', architecture = ''] = platform.split('/')
  if ([os, architecture].some((part) => part !== '' && stageName?.includes(part))) return null
  return `FROM --platform flag should not use constant value "${platform}"`
})

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
  find: ({ stages }) =>
    stages.flatMap((stage) =>
      (['cmd', 'entrypoint', 'healthcheck'] as const).flatMap((kind) => findEarlier(stage, kind)),
    ),
}

/** Whether a stage starts with a shell that an earlier stage of the file set. */
function inheritsShell(stage: Stage, withShell: ReadonlySet<string>): boolean {
  return withShell.has(stage.from.image.toLowerCase())
}

const jsonArgsRecommended: Rule = {
  name: 'JSONArgsRecommended',
  find({ stages }: Dockerfile) {
    const withShell = new Set<string>()
    return stages.flatMap((stage) => {
      let shell = inheritsShell(stage, withShell)
      const findings: Finding[] = []
      for (const instruction of stage.instructions) {
        if (instruction.kind === 'shell') shell = true
        const runs = instruction.kind === 'cmd' || instruction.kind === 'entrypoint'
        if (!runs || shell || instruction.command.form === 'exec') continue
        const reason = 'to prevent unintended behavior related to OS signals'
        findings.push({
          instruction,
          message: `JSON arguments recommended for ${instruction.keyword} ${reason}`,
        })
      }
      if (shell && stage.name !== null) withShell.add(stage.name)
      return findings
    })
  },
}

/** The rules about stages and what stands in them. */
export const stageRules: readonly Rule[] = [
  stageNameCasing,
  reservedStageName,
  fromAsCasing,
  duplicateStageName,
  redundantTargetPlatform,
  fromPlatformFlagConstDisallowed,
  multipleInstructionsDisallowed,
  jsonArgsRecommended,
]
