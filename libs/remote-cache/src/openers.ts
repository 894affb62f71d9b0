import type { CacheOpeners } from './types.ts'

/**
 * Opens caches of every type. Nothing is asked before the first look-up, and nothing sent before the first step is added. What they
 * need is loaded here: most builds have no cache elsewhere.
 */
export const cacheOpeners: CacheOpeners = {
  importer: async (source, tools) => (await import('./open.ts')).openers.importer(source, tools),
  exporter: async (target, tools, using) =>
    (await import('./open.ts')).openers.exporter(target, tools, using),
}
