import type { Builder } from '@tsbuild/builder'
import type { GlobalFlags } from './argv/global-flags.ts'
import type { Host } from './host.ts'
import { builderOptions } from './settings/builder-options.ts'

/**
 * Opens the store for as long as `use` runs. The signal aborts at the first SIGINT, SIGTERM or SIGHUP; the second leaves
 * the process at once.
 */
export async function withBuilder<Result>(
  flags: GlobalFlags,
  host: Host,
  use: (builder: Builder, signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const abort = new AbortController()
  const stop = host.onSignal(() => {
    if (abort.signal.aborted) host.exitNow(130)
    abort.abort()
  })
  try {
    const builder = await host.openBuilder(await builderOptions(flags, host))
    try {
      return await use(builder, abort.signal)
    } finally {
      await builder.close()
    }
  } finally {
    stop()
  }
}
