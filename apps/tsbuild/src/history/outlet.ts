import type { Writable } from 'node:stream'

/** A stream that is written to no faster than it takes, and that may go away. */
export interface Outlet {
  /** Resolves when more may be written. */
  write(data: Uint8Array | string): Promise<void>
  /** Whether nobody reads any more: `| head`. */
  isClosed(): boolean
}

/** Makes an outlet of a stream whose errors somebody listens to. */
export function createOutlet(stream: Writable): Outlet {
  return {
    async write(data) {
      if (data.length === 0 || stream.destroyed || stream.write(data)) return
      await new Promise<void>((resolve) => {
        const events = ['drain', 'close', 'error'] as const
        const done = () => {
          for (const event of events) stream.off(event, done)
          resolve()
        }
        for (const event of events) stream.on(event, done)
      })
    },
    isClosed: () => stream.destroyed || stream.errored !== null,
  }
}
