import type { CommandModule as ModuleOf, CommandRow as RowOf } from '@tsbuild/command-line'
import type { Host } from './host.ts'

/** A command's module. */
export type CommandModule = ModuleOf<Host>

/** One row of the table of commands. */
export type CommandRow = RowOf<Host>

/** Every command, in the order of the overview. The first is the one that runs where none is named. */
export const commands: readonly CommandRow[] = [
  {
    name: 'serve',
    usage: '[serve] --dir DIR',
    summary: 'Run the server',
    load: () => import('./commands/serve.ts'),
  },
  {
    name: 'config check',
    usage: 'config check',
    summary: 'Check the settings, and say where each is from',
    load: () => import('./commands/config-check.ts'),
  },
  {
    name: 'token create',
    usage: 'token create --scope SCOPE',
    summary: 'Make a token',
    load: () => import('./commands/token-create.ts'),
  },
  {
    name: 'token inspect',
    usage: 'token inspect [TOKEN]',
    summary: 'Say what a token permits',
    load: () => import('./commands/token-inspect.ts'),
  },
  {
    name: 'token revoke',
    usage: 'token revoke [TOKEN|ID]',
    summary: 'Take a token back',
    load: () => import('./commands/token-revoke.ts'),
  },
  {
    name: 'keys list',
    usage: 'keys list',
    summary: 'List the keys of the server',
    load: async () => (await import('./commands/keys.ts')).list,
  },
  {
    name: 'keys rotate',
    usage: 'keys rotate',
    summary: 'Make a new key, which signs from now on',
    load: async () => (await import('./commands/keys.ts')).rotate,
  },
  {
    name: 'keys remove',
    usage: 'keys remove KEY',
    summary: 'Believe a key no more',
    load: async () => (await import('./commands/keys.ts')).remove,
  },
  {
    name: 'keys export',
    usage: 'keys export',
    summary: 'Print the public keys for clients',
    load: async () => (await import('./commands/keys.ts')).exportKeys,
  },
  {
    name: 'gc',
    usage: 'gc',
    summary: 'Remove what may go, now',
    load: () => import('./commands/gc.ts'),
  },
  {
    name: 'scrub',
    usage: 'scrub',
    summary: 'Read everything again, and take damage away',
    load: () => import('./commands/scrub.ts'),
  },
  {
    name: 'stats',
    usage: 'stats',
    summary: 'Say what is kept, and how much',
    load: () => import('./commands/stats.ts'),
  },
  {
    name: 'health',
    usage: 'health',
    summary: 'Say whether the server is ready',
    load: () => import('./commands/health.ts'),
  },
]
