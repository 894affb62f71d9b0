import { cancelled } from '@tsbuild/http'
import type { FetchOptions } from '../remote-source.ts'

/** What a shared run is told. */
export interface SharedOptions {
  readonly signal: AbortSignal
  readonly onProgress: (received: number, total: number | undefined) => void
}

interface Call<T> {
  readonly result: Promise<T>
  readonly abort: AbortController
  readonly listeners: Set<FetchOptions>
}

/**
 * Lets callers that want the same at once share one run. It is cancelled when all of them are; each caller is told of the
 * progress, and leaves with `ERR_CANCELLED` when its own signal fires.
 */
export function createSharedCalls<T>() {
  const calls = new Map<string, Call<T>>()

  const begin = (key: string, body: (options: SharedOptions) => Promise<T>): Call<T> => {
    const abort = new AbortController()
    const listeners = new Set<FetchOptions>()
    const onProgress = (received: number, total: number | undefined) => {
      for (const listener of listeners) listener.onProgress?.(received, total)
    }
    const forget = () => {
      if (calls.get(key)?.abort === abort) calls.delete(key)
    }
    const result = body({ signal: abort.signal, onProgress }).finally(forget)
    result.catch(() => {})
    abort.signal.addEventListener('abort', forget, { once: true })
    const call = { result, abort, listeners }
    calls.set(key, call)
    return call
  }

  return async (
    key: string,
    { what, ...options }: FetchOptions & { readonly what: string },
    body: (options: SharedOptions) => Promise<T>,
  ): Promise<T> => {
    if (options.signal.aborted) throw cancelled(what)
    const call = calls.get(key) ?? begin(key, body)
    const listener = { ...options }
    call.listeners.add(listener)
    let leave = () => {}
    const left = new Promise<void>((resolve) => {
      leave = () => resolve()
      options.signal.addEventListener('abort', leave, { once: true })
    })
    try {
      const first = await Promise.race([call.result.then((value) => ({ value })), left])
      if (first !== undefined) return first.value
      call.listeners.delete(listener)
      if (call.listeners.size === 0) call.abort.abort(options.signal.reason)
      // The last to leave waits for the end, so that nothing is under way any more.
      if (call.abort.signal.aborted) return await call.result
      throw cancelled(what)
    } finally {
      call.listeners.delete(listener)
      options.signal.removeEventListener('abort', leave)
    }
  }
}
