/** A binary heap: the least first. */
export class Heap<T> {
  readonly #isBefore: (a: T, b: T) => boolean
  readonly #list: T[] = []

  constructor(isBefore: (a: T, b: T) => boolean) {
    this.#isBefore = isBefore
  }

  push(value: T): void {
    let at = this.#list.push(value) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#swapIfBefore(at, parent)) return
      at = parent
    }
  }

  pop(): T | undefined {
    const [first] = this.#list
    const last = this.#list.pop()
    if (last === undefined || this.#list.length === 0) return first
    this.#list[0] = last
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      const right = left + 1
      const child = this.#before(right, left) ? right : left
      if (!this.#swapIfBefore(child, at)) return first
      at = child
    }
  }

  #before(a: number, b: number): boolean {
    const first = this.#list[a]
    const second = this.#list[b]
    return first !== undefined && second !== undefined && this.#isBefore(first, second)
  }

  /** @returns whether the value at `a` had to come before that at `b` */
  #swapIfBefore(a: number, b: number): boolean {
    const first = this.#list[a]
    const second = this.#list[b]
    if (first === undefined || second === undefined || !this.#isBefore(first, second)) return false
    this.#list[a] = second
    this.#list[b] = first
    return true
  }
}
