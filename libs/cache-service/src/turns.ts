import { HttpError } from '@tsbuild/http-server'

/** Lets only so many of one name go on at a time; so many others wait, in the order in which they came. */
export class Turns {
  readonly #atATime: number
  readonly #mostWaiting: number
  readonly #queues = new Map<string, { running: number; readonly waiting: (() => void)[] }>()

  constructor(atATime: number, mostWaiting: number) {
    this.#atATime = atATime
    this.#mostWaiting = mostWaiting
  }

  /** Runs `body` when it is its turn. @throws {HttpError} 429 where too many wait already */
  async take<T>(name: string, body: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(name) ?? { running: 0, waiting: [] }
    this.#queues.set(name, queue)
    if (queue.running < this.#atATime) queue.running++
    else if (queue.waiting.length >= this.#mostWaiting) throw tooMany
    else await new Promise<void>((resolve) => queue.waiting.push(resolve))
    try {
      return await body()
    } finally {
      const next = queue.waiting.shift()
      // The next one has the place of this one.
      if (next !== undefined) next()
      else if (--queue.running === 0) this.#queues.delete(name)
    }
  }
}

const tooMany = new HttpError(
  429,
  'TOOMANYREQUESTS',
  'too many of these requests of this token wait already',
  {
    headers: { 'Retry-After': '1' },
  },
)
