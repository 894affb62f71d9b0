import { commands } from './commands.ts'

/** The text of `cache-server --help`. */
export function overview(): string {
  const rows = [
    ...commands.map(({ usage, summary }) => [usage, summary] as const),
    ['version', 'Print the version'] as const,
    ['help [COMMAND]', 'Show this, or the flags of a command'] as const,
  ]
  const width = Math.max(...rows.map(([usage]) => usage.length)) + 2
  return `Usage: cache-server [COMMAND] [flags]

Shares the build cache of tsbuild across machines, and is a registry.

Commands:
${rows.map(([usage, summary]) => `  ${usage.padEnd(width)}${summary}`).join('\n')}

Examples:
  cache-server --dir /var/cache/tsbuild            for this machine alone
  cache-server --config /etc/tsbuild/cache.toml    as the file says
  cache-server token create --dir /var/cache/tsbuild --scope acme/app:ref/main

Environment: TSBUILD_CACHE_SERVER_CONFIG, and one variable for each setting.
`
}
