/** What stands in the place of a secret. */
const mask = Buffer.from('***')

/** Shorter values are left: they stand in much that is no secret. In bytes. */
const shortestValue = 4
/** Of the lines of a value with several. In bytes. */
const shortestLine = 8

/** Takes secrets out of one stream of bytes. */
export interface SecretMask {
  /** What may be shown of the stream up to here; the rest of it could be the beginning of a secret. */
  push(chunk: Buffer): Buffer
  /** What is left at the end. */
  end(): Buffer
}

/**
 * Prepares to find values in any number of streams. A value counts without the line end after it; one of several lines is
 * also found line by line, as programs print it.
 *
 * @returns a maker of masks, one for each stream. Each takes a time that grows with the length of its stream alone, and holds
 *   back no more than the longest value
 */
export function createSecretMasks(values: Iterable<Uint8Array>): () => SecretMask {
  const needles = new Needles([...values].flatMap(partsOf))
  return () => (needles.isEmpty ? transparent : new Masking(needles))
}

function partsOf(value: Uint8Array): readonly Buffer[] {
  const whole = withoutLineEnd(Buffer.from(value))
  const parts = whole.length >= shortestValue ? [whole] : []
  if (!whole.includes(0x0a)) return parts
  for (let at = 0; at <= whole.length; ) {
    const newline = whole.indexOf(0x0a, at)
    const end = newline === -1 ? whole.length : newline
    const line = withoutLineEnd(whole.subarray(at, end))
    if (line.length >= shortestLine) parts.push(line)
    at = end + 1
  }
  return parts
}

function withoutLineEnd(text: Buffer): Buffer {
  const end = text.at(-1) === 0x0a ? -1 : text.length
  const line = text.subarray(0, end)
  return line.at(-1) === 0x0d ? line.subarray(0, -1) : line
}

const transparent: SecretMask = { push: (chunk) => chunk, end: () => Buffer.alloc(0) }

/**
 * The values as one automaton (Aho and Corasick): a state is the longest beginning of a value that the stream ends with. The
 * values may be large and have few branches, so a state has a list of what follows, and only the first has a table.
 */
class Needles {
  readonly isEmpty: boolean
  /** How long the beginning is that a state stands for. */
  readonly depth: Int32Array
  /** The longest value that a state ends with, 0 for none. */
  readonly match: Int32Array
  readonly #byte: Uint8Array
  readonly #child: Int32Array
  readonly #sibling: Int32Array
  readonly #fail: Int32Array
  readonly #first = new Int32Array(256)
  readonly #values: readonly Buffer[]
  /** A value that begins so. */
  readonly #value: Int32Array

  constructor(values: readonly Buffer[]) {
    const size = values.reduce((sum, { length }) => sum + length, 1)
    this.isEmpty = values.length === 0
    this.depth = new Int32Array(size)
    this.match = new Int32Array(size)
    this.#byte = new Uint8Array(size)
    this.#child = new Int32Array(size)
    this.#sibling = new Int32Array(size)
    this.#fail = new Int32Array(size)
    this.#values = values
    this.#value = new Int32Array(size)
    this.#link(this.#insert())
  }

  /** The bytes that a state stands for. */
  beginning(state: number): Buffer {
    return (this.#values[this.#value[state] ?? 0] ?? mask).subarray(0, this.depth[state])
  }

  /** The state after one more byte. */
  next(state: number, byte: number): number {
    for (let from = state; from !== 0; from = this.#fail[from] ?? 0) {
      const to = this.#childOf(from, byte)
      if (to !== 0) return to
    }
    return this.#first[byte] ?? 0
  }

  /** @returns the number of states */
  #insert(): number {
    let states = 1
    for (const [index, value] of this.#values.entries()) {
      let state = 0
      for (const byte of value) {
        const known = this.#childOf(state, byte)
        state = known === 0 ? this.#add(states++, state, byte) : known
        this.#value[state] = index
      }
      this.match[state] = value.length
    }
    return states
  }

  #add(state: number, parent: number, byte: number): number {
    this.#byte[state] = byte
    this.depth[state] = (this.depth[parent] ?? 0) + 1
    if (parent === 0) this.#first[byte] = state
    this.#sibling[state] = this.#child[parent] ?? 0
    this.#child[parent] = state
    return state
  }

  /** From the shallow states to the deep ones: where a state goes on when no value does. */
  #link(states: number): void {
    const queue = new Int32Array(states)
    let length = 1
    for (let at = 0; at < length; at += 1) {
      const parent = queue[at] ?? 0
      for (let state = this.#child[parent] ?? 0; state !== 0; state = this.#sibling[state] ?? 0) {
        const fail = parent === 0 ? 0 : this.next(this.#fail[parent] ?? 0, this.#byte[state] ?? 0)
        this.#fail[state] = fail
        if (this.match[state] === 0) this.match[state] = this.match[fail] ?? 0
        queue[length++] = state
      }
    }
  }

  #childOf(state: number, byte: number): number {
    if (state === 0) return this.#first[byte] ?? 0
    let child = this.#child[state] ?? 0
    while (child !== 0 && this.#byte[child] !== byte) child = this.#sibling[child] ?? 0
    return child
  }
}

/** Every byte of every match is covered. Positions count from the beginning of the stream. */
class Masking implements SecretMask {
  readonly #needles: Needles
  #state = 0
  #position = 0
  /** What is to be covered and does not show yet: in order, apart from each other. */
  #pending: { readonly from: number; readonly to: number }[] = []
  /** Everything before this position is shown or covered. */
  #coveredTo = 0

  constructor(needles: Needles) {
    this.#needles = needles
  }

  push(chunk: Buffer): Buffer {
    const { match, depth } = this.#needles
    const held = this.#needles.beginning(this.#state)
    let state = this.#state
    for (const byte of chunk) {
      state = this.#needles.next(state, byte)
      this.#position += 1
      const length = match[state] ?? 0
      if (length > 0) this.#note(this.#position - length, this.#position)
    }
    this.#state = state
    return this.#show([held, chunk], this.#position - (depth[state] ?? 0))
  }

  end(): Buffer {
    const held = this.#needles.beginning(this.#state)
    this.#state = 0
    return this.#show([held], this.#position)
  }

  /** A later match may begin before earlier ones and hold them. */
  #note(start: number, to: number): void {
    let from = start
    for (
      let last = this.#pending.at(-1);
      last !== undefined && last.to > start;
      last = this.#pending.at(-1)
    ) {
      from = Math.min(from, last.from)
      this.#pending.pop()
    }
    this.#pending.push({ from, to })
  }

  /**
   * Shows what no match can begin in any more.
   *
   * @param text what ends at the current position
   */
  #show(text: readonly Buffer[], until: number): Buffer {
    const out: Buffer[] = []
    const begin = this.#position - text.reduce((sum, { length }) => sum + length, 0)
    const show = (from: number, to: number) => {
      let start = begin
      for (const part of text) {
        if (from < to) out.push(part.subarray(Math.max(0, from - start), Math.max(0, to - start)))
        start += part.length
      }
    }
    let shown = Math.max(begin, this.#coveredTo)
    const settled = this.#pending.findIndex(({ from }) => from >= until)
    for (const { from, to } of this.#pending.splice(0, settled === -1 ? this.#pending.length : settled)) {
      if (from >= this.#coveredTo) {
        show(shown, from)
        out.push(mask)
      }
      this.#coveredTo = Math.max(this.#coveredTo, to)
      shown = Math.max(shown, to)
    }
    show(shown, until)
    return Buffer.concat(out)
  }
}
