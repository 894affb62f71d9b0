import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { InternalError } from '@tsbuild/errors'
import type { ExecMount } from '@tsbuild/graph'
import type { FileAction, Native, Root, Selection } from '@tsbuild/native'
import type { Filesystem } from '@tsbuild/snapshot'
import { onDisk } from '@tsbuild/store'
import { missingSource } from './exec-key.ts'
import { itselfAt, literalAt, treeAt } from './literal-selection.ts'
import type { OpsOptions } from './types.ts'

/** A cache mount of a step. */
export type CacheExecMount = Extract<ExecMount, { kind: 'cache' }>

/** Mode and owner do not count beside a source: what they would be of lies above it. */
export function ownership({ source, mode, uid, gid }: CacheExecMount) {
  return source === '/' ? { mode, uid, gid } : {}
}

/**
 * Makes `fs` in an empty directory: a copy of `seed`, or what the mount says that it holds when it is made.
 *
 * @param from the input of the mount
 * @throws {UserError} `ERR_MOUNT_SOURCE_INVALID`
 */
export async function makeContent(
  mount: CacheExecMount,
  place: { readonly directory: string; readonly seed: string | undefined },
  from: Filesystem | undefined,
  { native, snapshotter }: Pick<OpsOptions, 'native' | 'snapshotter'>,
  signal: AbortSignal,
): Promise<void> {
  const { directory, seed } = place
  const root: Root = { lower: [], upper: directory, work: null }
  const { mode, uid, gid } = ownership(mount)
  const run = (actions: readonly FileAction[]) => native.copy(root, actions, { signal }).outcome
  if (seed !== undefined) {
    await run([copyOf({ lower: [seed], upper: null, work: null }, treeAt('/fs'), '/')])
  } else if (from !== undefined) {
    const view = await snapshotter.view(from, signal)
    const found = await describe(view, mount.source, native, signal)
    const made = found.isDirectory
      ? [makeDirectory(mode ?? found.mode, ownerOf(uid, gid) ?? found.owner)]
      : []
    await run([...made, copyOf(view, literalAt(mount.source), '/fs')])
  } else if (mode !== undefined || uid !== undefined || gid !== undefined) {
    await run([makeDirectory(mode ?? 0o755, ownerOf(uid, gid) ?? '0:0')])
  } else {
    const fs = join(directory, 'fs')
    await onDisk('make directory', fs, async () => {
      await mkdir(fs)
      await chmod(fs, 0o755)
    })
  }
}

function ownerOf(uid: number | undefined, gid: number | undefined): string | undefined {
  return uid === undefined && gid === undefined ? undefined : `${uid ?? 0}:${gid ?? 0}`
}

function makeDirectory(mode: number, owner: string): FileAction {
  return { kind: 'mkdir', path: '/fs', mode, owner, mtime: null }
}

function copyOf(root: Root, selection: Selection, dest: string): FileAction {
  const from = { kind: 'snapshot', root } as const
  return { kind: 'copy', from, selection, dest, chown: null, chmod: null, expect: null, unpack: false }
}

interface Described {
  readonly isDirectory: boolean
  readonly mode: number
  /** `uid:gid` */
  readonly owner: string
}

/**
 * What lies at a path of an input. Mode and owner are those that stand there: where it is a symlink, the directory it leads to
 * counts as a new one.
 */
async function describe(root: Root, source: string, native: Native, signal: AbortSignal): Promise<Described> {
  const itself = itselfAt(source)
  const selections = [literalAt(source), ...(itself === undefined ? [] : [itself])]
  const scanned = await native.scan({ kind: 'snapshot', root }, selections, { signal, manifests: true })
  const [content, self] = scanned.selections
  if (content === undefined) throw new InternalError('ERR_HELPER_PROTOCOL', 'no selection was answered')
  const linesOf = (digest: string) => scanned.manifests.get(digest)?.toString('latin1').split('\n') ?? []
  const [, kind] = linesOf(content.digest)
  if (content.missing.length > 0 || !kind?.startsWith('source ')) throw missingSource(source)
  const line = self === undefined ? undefined : linesOf(self.digest).find((text) => text.startsWith('d '))
  const [, mode = '0755', owner = '0:0'] = line?.split(' ') ?? []
  return { isDirectory: kind === 'source dir', mode: Number.parseInt(mode, 8), owner }
}
