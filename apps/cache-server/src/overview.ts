import { commandLines } from '@tsbuild/command-line'
import { commands } from './commands.ts'

/** The text of `cache-server --help`. */
export function overview(): string {
  return `Usage: cache-server [COMMAND] [flags]

Shares the build cache of tsbuild across machines, and is a registry.

Commands:
${commandLines(commands)}

Examples:
  cache-server --dir /var/cache/tsbuild            for this machine alone
  cache-server --config /etc/tsbuild/cache.toml    as the file says
  cache-server token create --dir /var/cache/tsbuild --scope acme/app:ref/main

Environment: TSBUILD_CACHE_SERVER_CONFIG, and one variable for each setting.
`
}
