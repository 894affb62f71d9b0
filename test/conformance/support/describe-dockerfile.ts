import {
  type Dockerfile,
  type Heredoc,
  type Instruction,
  parseDockerfile,
  wordRangesOf,
} from '@tsbuild/dockerfile'
import type { SourceRange } from '@tsbuild/errors'

/** Members of an instruction that are compared only where the want names them: they repeat the text. */
const onAsking = ['keyword', 'original', 'comments', 'words'] as const

/**
 * What a Dockerfile was read as, in the notation of README.md: ranges as `line:column-line:column`, nothing that is null, false,
 * 0, an empty list or the default.
 *
 * @param wanted the want's instructions; says which of the optional members to give
 */
export function describeDockerfile(
  text: string,
  wanted: readonly Readonly<Record<string, unknown>>[],
): Record<string, unknown> {
  const dockerfile = parseDockerfile(text, 'Dockerfile')
  return dropDefaults({
    kind: 'instructions',
    escape: dockerfile.escape === '\\' ? null : dockerfile.escape,
    directives: dockerfile.directives.map(withRange),
    warnings: dockerfile.warnings.map(withRange),
    instructions: dockerfile.instructions.map((instruction, index) =>
      describeInstruction(dockerfile, instruction, wanted[index] ?? {}),
    ),
  })
}

/** The stages as a want gives them: name, and how many instructions follow their FROM. */
export function describeStages(text: string): readonly Record<string, unknown>[] {
  return parseDockerfile(text, 'Dockerfile').stages.map(({ name, instructions }) =>
    dropDefaults({ name, kinds: instructions.map(({ kind }) => kind) }),
  )
}

function describeInstruction(
  dockerfile: Dockerfile,
  instruction: Instruction,
  wanted: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const { source, ...members } = instruction
  const described: Record<string, unknown> = { ...members, range: rangeText(source) }
  if ('heredocs' in instruction) described.heredocs = instruction.heredocs.map(describeHeredoc)
  if ('mounts' in instruction) {
    described.mounts = instruction.mounts.map((mount) => mount.text)
    if (instruction.network === 'default') delete described.network
    if (instruction.security === 'sandbox') delete described.security
  }
  if ('options' in instruction) described.options = dropDefaults({ ...instruction.options })
  if (instruction.kind === 'arg') {
    described.args = instruction.args.map(({ name, value, description }) =>
      description === null ? { name, value } : { name, value, description },
    )
  }
  if ('words' in wanted) {
    const { flags, arguments: args } = wordRangesOf(dockerfile, instruction)
    described.words = [...flags, ...args].map(
      (range) => `${rangeText(range)} ${textAt(dockerfile.text, range)}`,
    )
  }
  for (const name of onAsking) if (!(name in wanted)) delete described[name]
  return dropDefaults(described)
}

function describeHeredoc({ terminator, ...heredoc }: Heredoc): Record<string, unknown> {
  return dropDefaults({ ...withRange(heredoc), terminator: rangeText(terminator) })
}

function withRange<T extends { readonly source: SourceRange }>({ source, ...rest }: T) {
  return { ...rest, range: rangeText(source) }
}

function rangeText({ startLine, startColumn, endLine, endColumn }: SourceRange): string {
  return `${startLine}:${startColumn}-${endLine}:${endColumn}`
}

function textAt(text: string, range: SourceRange): string {
  const lines = text.split('\n').slice(range.startLine - 1, range.endLine)
  const last = lines.length - 1
  return lines
    .map((line, index) =>
      line.slice(index === 0 ? range.startColumn : 0, index === last ? range.endColumn : undefined),
    )
    .join('\n')
}

/** Leaves out what says nothing, so that a want holds only what its case is about. */
function dropDefaults(members: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(members).filter(
      ([, value]) =>
        !(value === null || value === undefined || value === false || value === 0) &&
        !(Array.isArray(value) && value.length === 0),
    ),
  )
}
