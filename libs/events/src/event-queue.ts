import type { BuildEvent, EventSink } from './events.ts'

/** A queue between one writer and one reader of events. */
export interface EventQueue {
  /** Adds an event; never blocks, never throws. What comes after the end is dropped. */
  readonly push: EventSink
  /** Ends the queue once what is in it has been read. Safe to call more than once. */
  end(): void
  /** The events in order. May be read once; a reader that stops early empties the queue for good. */
  readonly events: AsyncIterable<BuildEvent>
}

/** How much of unread logs a queue keeps. */
const defaultUnreadLogBytes = 64 * 1024 * 1024

/**
 * Makes an event queue. It keeps every event until it is read, with two exceptions: of the unread `vertex.status` of one
 * vertex and id only the newest stays, so that a slow reader falls behind by states and not by progress ticks; and of
 * unread logs the oldest go when they are more than `unreadLogBytes`, so that a queue that nobody reads cannot fill the
 * memory. The queue ends by itself after `build.completed` and `build.failed`.
 */
export function createEventQueue(unreadLogBytes = defaultUnreadLogBytes): EventQueue {
  const pending = new PendingEvents(unreadLogBytes)
  let ended = false
  let wake = (): void => {}
  let taken = false

  const end = (): void => {
    ended = true
    wake()
  }
  const push: EventSink = (event) => {
    if (ended) return
    pending.add(event)
    if (event.type === 'build.completed' || event.type === 'build.failed') ended = true
    wake()
  }
  async function* read(): AsyncGenerator<BuildEvent> {
    try {
      for (;;) {
        const event = pending.take()
        if (event !== undefined) yield event
        else if (ended) return
        else {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      }
    } finally {
      ended = true
      pending.clear()
    }
  }
  const events: AsyncIterable<BuildEvent> = {
    [Symbol.asyncIterator]() {
      if (taken) throw new TypeError('The events of a build may be read once')
      taken = true
      return read()
    },
  }
  return { push, end, events }
}

/** First in, first out; a superseded status leaves a hole, so that nothing is ever moved. */
class PendingEvents {
  #slots: (BuildEvent | undefined)[] = []
  #head = 0
  readonly #newestStatus = new Map<string, number>()
  readonly #mostLogBytes: number
  #logBytes = 0
  /** No log is in a slot before this one. */
  #oldestLog = 0

  constructor(mostLogBytes: number) {
    this.#mostLogBytes = mostLogBytes
  }

  add(event: BuildEvent): void {
    if (event.type === 'vertex.status') {
      const key = `${event.vertex} ${event.id}`
      const older = this.#newestStatus.get(key)
      if (older !== undefined) this.#slots[older] = undefined
      this.#newestStatus.set(key, this.#slots.length)
    }
    this.#slots.push(event)
    if (event.type !== 'vertex.log') return
    this.#logBytes += event.data.length
    while (this.#logBytes > this.#mostLogBytes) this.#dropOldestLog()
  }

  #dropOldestLog(): void {
    const event = this.#slots[this.#oldestLog]
    if (event?.type === 'vertex.log') {
      this.#logBytes -= event.data.length
      this.#slots[this.#oldestLog] = undefined
    }
    this.#oldestLog++
  }

  take(): BuildEvent | undefined {
    while (this.#head < this.#slots.length) {
      const event = this.#slots[this.#head]
      this.#slots[this.#head] = undefined
      this.#head++
      if (event === undefined) continue
      if (event.type === 'vertex.log') this.#logBytes -= event.data.length
      if (event.type === 'vertex.status') this.#newestStatus.delete(`${event.vertex} ${event.id}`)
      return event
    }
    this.clear()
    return undefined
  }

  clear(): void {
    this.#slots = []
    this.#head = 0
    this.#logBytes = 0
    this.#oldestLog = 0
    this.#newestStatus.clear()
  }
}
