import type { Digest } from '@tsbuild/digest'
import type { Mount } from '@tsbuild/dockerfile'
import { redact, type SourceRange, UserError } from '@tsbuild/errors'
import { addMainContext } from './base.ts'
import { fromMount } from './from-name.ts'
import { literalPattern, resolveInImage } from './paths.ts'
import type { StageBuilder } from './stage-builder.ts'
import type { StageState } from './stage-state.ts'

/** What a mount shows: a path of a file system. */
export interface MountedFiles {
  /** Undefined is an empty file system. */
  readonly input: Digest | undefined
  /** Absolute. */
  readonly path: string
}

const nothing: MountedFiles = { input: undefined, path: '/' }

/**
 * Adds the file system that a bind shows or that a cache is made of. Of a context, which the process must not see as it is, it
 * is a copy of what is mounted.
 *
 * @throws {UserError} `ERR_COPY_SOURCE_NOT_FOUND` for a source in nothing; see `fromMount`
 * @see spec/dockerfile.md 2.1, docs/adr/0014-run-mounts.md
 */
export async function mountedFiles(
  builder: StageBuilder,
  state: StageState,
  mount: Mount,
  source: SourceRange,
): Promise<MountedFiles> {
  if (mount.type !== 'bind' && mount.type !== 'cache') return nothing
  const path = resolveInImage('/', mount.source)
  const input = await rootOf(builder, state, mount, source)
  if (input === undefined) {
    if (path !== '/') throw sourceInNothing(mount, source)
    return nothing
  }
  if (builder.graph.get(input).op.kind !== 'local') return { input, path }
  return copyOf(builder, state, { input, path }, source)
}

async function rootOf(
  builder: StageBuilder,
  { stage: reader }: StageState,
  { type, from: name }: Extract<Mount, { type: 'bind' | 'cache' }>,
  source: SourceRange,
): Promise<Digest | undefined> {
  if (name !== null) return await fromMount(builder, { name, reader, source })
  return type === 'cache' ? undefined : await addMainContext(builder, source)
}

/** Where the copy lies: a place of its own, so that a file and a directory, or what a symlink leads to, go there alike. */
const copied = '/source'

function copyOf(
  { graph }: StageBuilder,
  { ignoreCache }: StageState,
  { input, path }: { readonly input: Digest; readonly path: string },
  source: SourceRange,
): MountedFiles {
  const copy = {
    kind: 'copy',
    input: 0,
    sources: [path === '/' ? '/' : literalPattern(path.slice(1))],
    dest: copied,
    exclude: [],
    parents: false,
    chown: undefined,
    chmod: undefined,
    unpack: false,
  } as const
  const [label] = graph.get(input).name.split('] ')
  const op = { kind: 'file', rootfs: undefined, owners: undefined, actions: [copy] } as const
  const name = `${label}] mount ${redact(path)}`
  return { input: graph.add(op, { inputs: [input], name, source, ignoreCache }), path: copied }
}

function sourceInNothing(
  { type, from, source: path }: Extract<Mount, { type: 'bind' | 'cache' }>,
  source: SourceRange,
): UserError {
  const where = from === null ? 'a cache without "from" is empty when it is made' : `"${from}" is empty`
  const message = `Cannot mount "${path}" of type ${type}: ${where}`
  return new UserError('ERR_COPY_SOURCE_NOT_FOUND', message, { source })
}
