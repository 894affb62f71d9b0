/** Keeps the last lines of a step's output for its error. */
export interface OutputTail {
  push(data: Buffer): void
  /** Whether nothing was written yet, or a whole line last. */
  endsLine(): boolean
  /** At most `maxLines` lines, without line ends. */
  lines(): readonly string[]
}

/** Bounded in bytes, so that a flood of output or one endless line costs nothing. */
export function createOutputTail(maxLines = 20, maxBytes = 16 * 1024): OutputTail {
  let text = Buffer.alloc(0)
  return {
    push(data) {
      const recent = data.length >= maxBytes ? data.subarray(-maxBytes) : data
      text = Buffer.concat([text, recent]).subarray(-maxBytes)
    },
    endsLine: () => text.length === 0 || text.at(-1) === 0x0a,
    lines() {
      const lines = text.toString('utf8').split('\n')
      if (lines.at(-1) === '') lines.pop()
      return lines.slice(-maxLines)
    },
  }
}
