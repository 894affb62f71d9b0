import type { Builder } from '@tsbuild/builder'
import type { EventSink } from '@tsbuild/events'
import type { Host } from '../host.ts'
import { createDisplay, displayMode } from '../progress/create-display.ts'
import { withBuilder } from '../with-builder.ts'
import type { TransferFlags } from './transfer-flags.ts'

/** The display moves on this often while no event comes. */
const tickMs = 100

/** What a call that moves images is given. */
export interface Transfer {
  readonly onEvent: EventSink
  readonly signal: AbortSignal
}

/** Opens the store and shows what is moved on standard error, as builds are shown, until `use` has ended. */
export async function withTransfer<Result>(
  flags: TransferFlags,
  host: Host,
  use: (builder: Builder, transfer: Transfer) => Promise<Result>,
): Promise<Result> {
  const display = createDisplay(displayMode(flags, host), host)
  return await withBuilder(flags, host, async (builder, signal) => {
    const timer = setInterval(() => display.tick(host.now()), tickMs)
    try {
      return await use(builder, { signal, onEvent: (event) => display.update(event) })
    } finally {
      clearInterval(timer)
      display.end(host.now())
    }
  })
}
