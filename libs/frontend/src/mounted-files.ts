import type { Digest } from '@tsbuild/digest'
import type { BindMount, CacheMount, Mount } from '@tsbuild/dockerfile'
import { redact, type SourceRange, UserError } from '@tsbuild/errors'
import { literalPattern } from '@tsbuild/graph'
import { addMainContext } from './base.ts'
import { fromMount } from './from-name.ts'
import { resolveInImage } from './paths.ts'
import type { StageBuilder } from './stage-builder.ts'
import type { StageState } from './stage-state.ts'

/** What a mount shows: a path of a file system. */
export interface MountedFiles {
  /** Undefined is an empty file system, and for a cache the cache itself. */
  readonly input: Digest | undefined
  /** Absolute. */
  readonly path: string
}

const nothing: MountedFiles = { input: undefined, path: '/' }

/**
 * Adds the file system that a bind shows or that a cache is made of. Of a context, which the process must not see as it is, it
 * is a copy of what is mounted.
 *
 * @throws {UserError} `ERR_MOUNT_SOURCE_INVALID` for a source in nothing; see `fromMount`
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
    if (mount.type === 'bind' && path !== '/') throw sourceInNothing(mount, source)
    return { input, path }
  }
  if (builder.graph.get(input).op.kind !== 'local') return { input, path }
  return copyOf(builder, state, { input, path }, source)
}

async function rootOf(
  builder: StageBuilder,
  { stage: reader }: StageState,
  { type, from: name }: BindMount | CacheMount,
  source: SourceRange,
): Promise<Digest | undefined> {
  if (name !== null) return await fromMount(builder, { name, reader, source })
  return type === 'cache' ? undefined : await addMainContext(builder, source)
}

/** Where the copy of a part lies: a place of its own, so that a file, a directory and what a symlink leads to go there alike. */
const placeOfPart = '/source'

function copyOf(
  { graph }: StageBuilder,
  { ignoreCache }: StageState,
  { input, path }: { readonly input: Digest; readonly path: string },
  source: SourceRange,
): MountedFiles {
  const dest = path === '/' ? '/' : placeOfPart
  const copy = {
    kind: 'copy',
    input: 0,
    sources: [path === '/' ? '/' : literalPattern(path.slice(1))],
    dest,
    exclude: [],
    parents: false,
    chown: undefined,
    chmod: undefined,
    unpack: false,
  } as const
  const [label] = graph.get(input).name.split('] ')
  const op = { kind: 'file', rootfs: undefined, owners: undefined, actions: [copy] } as const
  const name = `${label}] mount ${redact(path)}`
  return { input: graph.add(op, { inputs: [input], name, source, ignoreCache }), path: dest }
}

function sourceInNothing({ from, source: path }: BindMount, source: SourceRange): UserError {
  const message = `Cannot mount "${path}": it is not in "${from ?? 'context'}", which is empty`
  return new UserError('ERR_MOUNT_SOURCE_INVALID', message, { source })
}
