import type { ChildProcess } from 'node:child_process'
import type { Duplex, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { HelperTarget } from './call.ts'
import { type Cancellable, cancellable, type Staged } from './native.ts'
import type { Finish, OutcomeOf } from './protocol.ts'
import type { ApplyRequest } from './protocol-layers.ts'
import { startStaged } from './staged.ts'

/** Nothing follows the outcome: what is said then is how the helper ended. */
export async function applied({ outcome, finished }: Staged<'apply'>): Promise<OutcomeOf<'apply'>> {
  await finished
  return await outcome
}

/** See {@link Native.applyStaged}. */
export function apply(
  target: HelperTarget,
  layer: ApplyRequest,
  from: number | Readable,
  options: Cancellable & { readonly finish?: Finish } = {},
): Staged<'apply'> {
  const { finish = null, signal } = options
  const request = { op: 'apply', ...layer, finish } as const
  const until = untilSettled(signal)
  const calling = { ...cancellable(options), signal: until.signal }
  const staged =
    typeof from === 'number'
      ? startStaged(target, request, { ...calling, extraFds: [from] })
      : startStaged(target, request, { ...calling, extraFds: ['pipe'], onProcess: feed(from) })
  const ended = () => {
    until.settled()
    if (typeof from !== 'number') from.destroy()
  }
  staged.outcome.then(ended, ended)
  return staged
}

/** Sends a stream to descriptor 3 of a helper. */
function feed(from: Readable): (child: ChildProcess) => void {
  return (child) => {
    const pipe = child.stdio[3] as Duplex
    // Nothing comes back; unread, its end would never be seen.
    pipe.resume()
    // A source that fails ends the pipe, and the helper misses the rest; a helper that fails reads no further.
    pipeline(from, pipe).catch(() => {})
  }
}

/** A signal that fires with another one, but not after `settled`. */
function untilSettled(signal: AbortSignal | undefined): { signal: AbortSignal; settled(): void } {
  const own = new AbortController()
  const abort = () => own.abort(signal?.reason)
  if (signal?.aborted === true) abort()
  signal?.addEventListener('abort', abort, { once: true })
  return { signal: own.signal, settled: () => signal?.removeEventListener('abort', abort) }
}
