import { canonical, type KeyValue } from '@tsbuild/digest'
import type { ExecMount } from '@tsbuild/graph'
import type { Mount } from '@tsbuild/native'
import type { Filesystem, LayerRef } from '@tsbuild/snapshot'
import type { ExecuteContext } from '@tsbuild/solver'
import type { CacheMountName, CacheMountRequest, CacheMountStore } from '@tsbuild/store'
import { type CacheExecMount, makeContent, ownership } from './cache-mount-content.ts'
import { mountedFilesystem } from './stored-layer.ts'
import type { OpResult, OpsOptions } from './types.ts'

const strictest = ['locked', 'private', 'shared'] as const

/**
 * Opens the cache mounts of a step, each directory once: two mounts of one directory would wait for each other. All steps
 * open theirs in the same order, so that no two of them wait for each other.
 *
 * @param closers gets what is to be called when the step has ended, also if this rejects
 */
export async function openCacheMounts(
  mounts: readonly ExecMount[],
  inputs: readonly OpResult[],
  options: OpsOptions,
  context: ExecuteContext,
  closers: (() => Promise<void>)[],
): Promise<ReadonlyMap<ExecMount, Mount>> {
  const byName = new Map<string, { readonly name: CacheMountName; readonly mounts: CacheExecMount[] }>()
  for (const mount of mounts) {
    if (mount.kind !== 'cache') continue
    const name = { scope: options.scope, id: mount.id, base: baseOf(mount, inputs) }
    const text = canonical({ ...name })
    const group = byName.get(text) ?? { name, mounts: [] }
    group.mounts.push(mount)
    byName.set(text, group)
  }
  const opened = new Map<ExecMount, Mount>()
  for (const [, { name, mounts: group }] of [...byName].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const [mount] = group
    if (mount === undefined) continue
    const request: CacheMountRequest = {
      ...name,
      sharing: strictest.find((mode) => group.some(({ sharing }) => sharing === mode)) ?? 'shared',
      fresh: context.vertex.ignoreCache && hasBase(mount),
      make: (directory, seed) =>
        makeContent(mount, { directory, seed }, inputOf(mount, inputs), options, context.signal),
    }
    const cache = await options.cacheMounts.open(request, waiting(mount, options, context))
    closers.push(() => cache.release())
    for (const each of group) opened.set(each, nativeMount(each, cache.path))
  }
  return opened
}

function waiting({ id }: CacheExecMount, { now }: OpsOptions, { vertex, events, signal }: ExecuteContext) {
  const onWait = () =>
    events({
      type: 'vertex.waiting',
      vertex: vertex.digest,
      reason: `another step uses the cache mount "${id}"`,
      at: now(),
    })
  return { signal, onWait }
}

/** What came from an input is the root of the directory already. */
function nativeMount({ input, source, target, readOnly }: CacheExecMount, path: string): Mount {
  const inside = input === undefined ? source.slice(1) : ''
  return { kind: 'bind', source: path, inside, target, readonly: readOnly }
}

/**
 * What a cache mount held when it was made, in the place of BuildKit's "base ref": the layers of its input and which part of
 * them, or the mode and owner given. A source without an input is a path in the directory, so it names no other one.
 */
function baseOf(mount: CacheExecMount, inputs: readonly OpResult[]): KeyValue {
  const filesystem = inputOf(mount, inputs)
  return {
    ...(filesystem === undefined ? {} : { layers: layersOf(filesystem), source: mount.source }),
    ...ownership(mount),
  }
}

function inputOf({ input }: CacheExecMount, inputs: readonly OpResult[]): Filesystem | undefined {
  return input === undefined ? undefined : mountedFilesystem(inputs, input)
}

function layersOf({ layers }: Filesystem): KeyValue {
  return layers.map((layer) => nameOf(layer))
}

function nameOf(layer: LayerRef): KeyValue {
  switch (layer.kind) {
    case 'snapshot':
      return layer.id
    case 'image':
      return layer.diffId
    case 'cached':
      return layer.blobs.map(({ diffId }) => diffId)
  }
}

/** Whether `--no-cache` begins anew. A directory that was made of nothing is kept, as BuildKit does it. */
function hasBase(mount: CacheExecMount): boolean {
  return mount.input !== undefined || Object.values(ownership(mount)).some((value) => value !== undefined)
}

/** `--no-cache` begins a directory anew once in a build: its steps share it. */
export function onceFresh(store: CacheMountStore): CacheMountStore {
  const begun = new Map<string, Promise<void>>()
  return {
    async open(request, waiting) {
      if (request.fresh !== true) return await store.open(request, waiting)
      const name = canonical({ scope: request.scope, id: request.id, base: request.base })
      const other = begun.get(name)
      if (other !== undefined) {
        await other
        return await store.open({ ...request, fresh: false }, waiting)
      }
      const opened = store.open(request, waiting)
      begun.set(
        name,
        opened.then(
          () => undefined,
          () => void begun.delete(name),
        ),
      )
      return await opened
    },
  }
}
