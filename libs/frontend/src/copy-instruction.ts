import type { Digest } from '@tsbuild/digest'
import type { AddInstruction, CopyInstruction } from '@tsbuild/dockerfile'
import { type SourceRange, UserError } from '@tsbuild/errors'
import type { FileAction } from '@tsbuild/graph'
import { copyDestination, isRemoteSource } from './paths.ts'
import type { StageBuilder } from './stage-builder.ts'
import { nextStepName, type StageState } from './stage-state.ts'

/** Adds the step of a COPY or ADD. @see spec/dockerfile.md 3 */
export async function addCopy(
  builder: StageBuilder,
  state: StageState,
  instruction: CopyInstruction | AddInstruction,
): Promise<void> {
  const { source } = instruction
  const word = (text: string) => state.scope.expand(text, source)
  const sources = instruction.sources.map(word)
  refuseUnsupported(instruction, sources)
  const destination = word(instruction.destination)
  const dest = copyDestination(state.config.workingDir ?? '/', destination)
  const inputs: Digest[] = state.rootfs === undefined ? [] : [state.rootfs]
  const actions: FileAction[] = []
  const chown = instruction.chown === null ? undefined : word(instruction.chown)
  const chmod = instruction.chmod === null ? undefined : word(instruction.chmod)
  if (sources.length > 0) {
    const input = await inputOf(builder, state, instruction)
    if (input === undefined) throw emptySource(sources, source)
    inputs.push(input)
    const parents = instruction.kind === 'copy' && instruction.parents
    const unpack = instruction.kind === 'add' && instruction.unpack !== false
    const { exclude } = instruction
    actions.push({
      kind: 'copy',
      input: inputs.length - 1,
      sources,
      dest,
      exclude,
      parents,
      chown,
      chmod,
      unpack,
    })
  }
  for (const { name, content, expand } of instruction.inlineFiles) {
    const text = expand ? state.scope.expandHeredoc(content, source) : content
    actions.push({ kind: 'mkfile', name, dest, content: text, owner: chown, chmod, mtime: undefined })
  }
  state.rootfs = builder.graph.add(
    { kind: 'file', rootfs: state.rootfs === undefined ? undefined : 0, owners: undefined, actions },
    { inputs, name: nextStepName(state, instruction.original), source, ignoreCache: state.ignoreCache },
  )
  state.history.push({
    createdBy: createdBy(instruction, sources, destination, { chown, chmod }),
    emptyLayer: false,
  })
}

/** The vertex that is copied from; undefined for an empty file system. */
async function inputOf(
  builder: StageBuilder,
  state: StageState,
  instruction: CopyInstruction | AddInstruction,
): Promise<Digest | undefined> {
  if (instruction.kind === 'copy' && instruction.from !== null) {
    return await builder.fromName(instruction.from, state, instruction.source)
  }
  return builder.graph.add(
    { kind: 'local', name: 'context' },
    { inputs: [], name: '[internal] load build context' },
  )
}

/** With words as written, variables expanded. */
function createdBy(
  instruction: CopyInstruction | AddInstruction,
  sources: readonly string[],
  destination: string,
  flags: { readonly chown: string | undefined; readonly chmod: string | undefined },
): string {
  const words = [instruction.kind.toUpperCase()]
  if (flags.chown !== undefined) words.push(`--chown=${flags.chown}`)
  if (flags.chmod !== undefined) words.push(`--chmod=${flags.chmod}`)
  const inline = instruction.inlineFiles.map(({ name }) => `<<${name}`)
  return [...words, ...sources, ...inline, destination, '# buildkit'].join(' ')
}

function emptySource(sources: readonly string[], source: SourceRange): UserError {
  const message = `Cannot copy "${sources.join(' ')}": the stage that --from names has no files`
  return new UserError('ERR_COPY_SOURCE_NOT_FOUND', message, { source })
}

function refuseUnsupported(instruction: CopyInstruction | AddInstruction, sources: readonly string[]): void {
  const { source } = instruction
  const refuse = (what: string) => {
    throw new UserError('ERR_UNSUPPORTED', `Cannot copy: ${what} is not supported yet`, { source })
  }
  if (instruction.link) refuse(`${instruction.kind.toUpperCase()} --link`)
  if (instruction.kind === 'add') {
    if (instruction.checksum !== null) refuse('ADD --checksum')
    if (instruction.keepGitDir !== null) refuse('ADD --keep-git-dir')
    if (instruction.unpack === true) refuse('ADD --unpack=true')
  }
  const remote = sources.find(isRemoteSource)
  if (remote === undefined) return
  if (instruction.kind === 'add') refuse(`the remote source "${remote}"`)
  throw new UserError('ERR_DOCKERFILE_SYNTAX', `Cannot copy "${remote}": a source of COPY can't be a URL`, {
    source,
    hints: ['Use ADD for URLs.'],
  })
}
