import type { ServerTrust } from './server-trust.ts'

/** What cache-servers said in one build: whoever reads a server and whoever writes to it ask it once. */
export interface ServerAnswers {
  /** By server, keys file and token: what a server says of itself is said to a token. */
  readonly trusts: SharedAnswers<ServerTrust>
  /** Tokens that identities were exchanged for, by server and identity. */
  readonly tokens: SharedAnswers<string>
}

/** Answers that are asked for once. */
export interface SharedAnswers<T> {
  /**
   * Gives the answer that there is or that is under way, else that of `ask`. A failure is nobody else's: whoever waited for it asks on
   * its own.
   *
   * @throws what `ask` throws, and the reason of `signal`
   */
  get(key: string, ask: () => Promise<T>, signal: AbortSignal): Promise<T>
  /** It counts no more: a token that ended. */
  forget(key: string): void
}

/** Makes them for one build: nothing was said yet. */
export function createServerAnswers(): ServerAnswers {
  return { trusts: createShared(), tokens: createShared() }
}

function createShared<T>(): SharedAnswers<T> {
  const answers = new Map<string, Promise<T>>()
  return {
    async get(key, ask, signal) {
      const known = answers.get(key)
      if (known !== undefined) {
        try {
          return await unlessAborted(known, signal)
        } catch {
          signal.throwIfAborted()
        }
      }
      const own = ask()
      answers.set(key, own)
      own.catch(() => {
        if (answers.get(key) === own) answers.delete(key)
      })
      return await own
    },
    forget: (key) => void answers.delete(key),
  }
}

/** What others wait for is not ended by whoever waits no longer. */
async function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  return await new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
