import { rmSync } from 'node:fs'
import { type Builder, type BuildOptions, type BuildResult, createBuilder } from '@tsbuild/builder'
import type { BuildEvent } from '@tsbuild/events'
import type { MemoryCache } from '../../libs/remote-cache/src/testing/memory-cache.ts'
import { check } from './tsbuild.ts'
import type { Workspace } from './workspace.ts'

/** A machine with a store of its own; all of them reach the same caches. */
export interface CacheMachine {
  /** What the last build said. */
  readonly events: readonly BuildEvent[]
  readonly build: (options: Partial<BuildOptions> & { readonly context: string }) => Promise<BuildResult>
  /** Names of steps that ran in the last build, in their order. */
  readonly ran: () => readonly string[]
  /** Steps that were found elsewhere, as `name from cache`. */
  readonly found: () => readonly string[]
  readonly warnings: () => readonly string[]
  readonly store: string
  readonly close: () => Promise<void>
}

/** What a machine is made with. */
export interface MachineOptions {
  /** Reached by the name of a directory; undefined: caches of real types. */
  readonly caches?: readonly MemoryCache[]
  /** Without anything in its store. */
  readonly isEmpty?: boolean
}

/** Makes a machine whose store is a copy of the workspace's own. */
export async function openMachine(
  workspace: Workspace,
  name: string,
  { caches, isEmpty = false }: MachineOptions = {},
): Promise<CacheMachine> {
  const store = workspace.path(`machine-${name}`)
  if (!isEmpty) await check('cp', ['-a', '--reflink=auto', workspace.path('store'), store])
  const cacheOf = (place: string) => {
    const cache = caches?.find((one) => one.name === place)
    if (cache === undefined) throw new Error(`there is no cache "${place}"`)
    return cache
  }
  const builder: Builder = await createBuilder({
    root: store,
    cacheOpeners: caches && {
      importer: async (source) => cacheOf(source.type === 'local' ? source.src : '').importer(),
      exporter: async (target, _, using) =>
        cacheOf(target.type === 'local' ? target.dest : '').exporter(using),
    },
  })
  let events: BuildEvent[] = []
  const names = () =>
    new Map(events.flatMap((event) => (event.type === 'vertex.planned' ? [[event.vertex, event]] : [])))
  return {
    store,
    get events() {
      return events
    },
    async build(options) {
      events = []
      const handle = builder.build({
        cwd: workspace.folder,
        ...options,
        onEvent: (event) => events.push(event),
      })
      return await handle.result
    },
    ran: () => {
      const planned = names()
      return events.flatMap((event) => {
        const step = event.type === 'vertex.started' ? planned.get(event.vertex) : undefined
        return step === undefined || step.role !== undefined ? [] : [step.name]
      })
    },
    found: () => {
      const planned = names()
      return events.flatMap((event) =>
        event.type === 'vertex.cached' && event.from === 'remote'
          ? [`${planned.get(event.vertex)?.name} from ${event.cache}`]
          : [],
      )
    },
    warnings: () =>
      events.flatMap((event) => (event.type === 'warning' ? [`${event.rule}: ${event.message}`] : [])),
    async close() {
      await builder.close()
      rmSync(store, { recursive: true, force: true })
    },
  }
}
