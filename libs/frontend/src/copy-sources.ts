import type { Digest } from '@tsbuild/digest'
import type { AddInstruction, CopyInstruction } from '@tsbuild/dockerfile'
import { UserError } from '@tsbuild/errors'
import { type GitOp, type HttpOp, literalPattern } from '@tsbuild/graph'
import { addMainContext } from './base.ts'
import { fromName } from './from-name.ts'
import { refuseRemote, remoteSource } from './remote-source.ts'
import type { StageBuilder } from './stage-builder.ts'
import type { StageState } from './stage-state.ts'

/** Sources of a COPY or ADD that stand side by side and come from one file system: one action. */
export interface SourceGroup {
  readonly input: Digest
  readonly sources: readonly string[]
  readonly unpack: boolean
}

type OpenGroup = SourceGroup & { readonly sources: string[] }

/**
 * Adds the vertices that a COPY or ADD reads and says what it takes from each, in the order of its words.
 *
 * @param words the sources, variables expanded
 * @param checksum that of ADD, expanded
 * @throws {UserError} see `remoteSource`; `ERR_DOCKERFILE_SYNTAX`, `ERR_COPY_SOURCE_NOT_FOUND`
 */
export async function addSources(
  builder: StageBuilder,
  state: StageState,
  instruction: CopyInstruction | AddInstruction,
  { words, checksum }: { readonly words: readonly string[]; readonly checksum: string | undefined },
): Promise<readonly SourceGroup[]> {
  const remotes = words.map((word) => remoteOf(builder, instruction, word, checksum))
  refuseChecksum(instruction, remotes, checksum)
  warnOfKeepGitDir(builder, instruction, remotes)
  const groups: OpenGroup[] = []
  let open = false
  for (const [index, word] of words.entries()) {
    const remote = remotes[index]
    const last = groups.at(-1)
    if (remote !== undefined) groups.push(addRemote(builder, instruction, remote))
    else if (open && last !== undefined) last.sources.push(word)
    else groups.push(await addLocal(builder, state, instruction, [word]))
    open = remote === undefined
  }
  return groups
}

function remoteOf(
  { sourceDate }: StageBuilder,
  instruction: CopyInstruction | AddInstruction,
  word: string,
  checksum: string | undefined,
): HttpOp | GitOp | undefined {
  const { source } = instruction
  if (instruction.kind === 'copy') {
    refuseRemote(word, source)
    return undefined
  }
  const { keepGitDir } = instruction
  return remoteSource(word, { checksum, keepGitDir, commitTimes: sourceDate.ofContext }, source)
}

function refuseChecksum(
  { source }: CopyInstruction | AddInstruction,
  remotes: readonly unknown[],
  checksum: string | undefined,
): void {
  if (checksum === undefined) return
  const refuse = (why: string) => {
    throw new UserError('ERR_DOCKERFILE_SYNTAX', `Cannot use --checksum=${checksum}: ${why}`, { source })
  }
  if (remotes.length !== 1) refuse("checksum can't be specified for multiple sources")
  if (remotes[0] === undefined) refuse('checksum requires HTTP(S) or Git sources')
}

/** BuildKit says nothing. */
function warnOfKeepGitDir(
  { options }: StageBuilder,
  instruction: CopyInstruction | AddInstruction,
  remotes: readonly (HttpOp | GitOp | undefined)[],
): void {
  if (instruction.kind !== 'add' || instruction.keepGitDir === null) return
  if (remotes.some((remote) => remote?.kind === 'git')) return
  const message = 'ADD --keep-git-dir has no effect: no source is a git repository'
  options.warn({ rule: 'FlagWithoutEffect', message, source: instruction.source })
}

function addRemote(
  { graph }: StageBuilder,
  instruction: CopyInstruction | AddInstruction,
  op: HttpOp | GitOp,
): OpenGroup {
  const shown = op.kind === 'http' ? op.url : `${op.remote}${op.ref === '' ? '' : `#${op.ref}`}`
  const name = `[internal] fetch ${withoutSecrets(shown)}`
  const input = graph.add(op, { inputs: [], name, source: instruction.source })
  if (op.kind === 'git') return { input, sources: ['/'], unpack: false }
  const unpack = instruction.kind === 'add' && instruction.unpack === true
  return { input, sources: [literalPattern(op.filename)], unpack }
}

/** Neither a password nor a signed query is shown. */
const withoutSecrets = (url: string) => url.replace(/^(\w+:\/\/)[^/@]*@/, '$1').replace(/\?.*$/s, '')

async function addLocal(
  builder: StageBuilder,
  state: StageState,
  instruction: CopyInstruction | AddInstruction,
  sources: string[],
): Promise<OpenGroup> {
  const { source } = instruction
  const from = instruction.kind === 'copy' ? instruction.from : null
  const input = from
    ? await fromName(builder, { name: from, reader: state.stage, source })
    : await addMainContext(builder, source)
  const unpack = instruction.kind === 'add' && instruction.unpack !== false
  return { input: input ?? addNothing(builder), sources, unpack }
}

/** What `COPY --from=scratch / /` reads. */
function addNothing({ graph }: StageBuilder): Digest {
  return graph.add(
    { kind: 'file', rootfs: undefined, owners: undefined, actions: [] },
    { inputs: [], name: '[internal] no files' },
  )
}
