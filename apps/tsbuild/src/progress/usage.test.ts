import { digestBytes } from '@tsbuild/digest'
import type { BuildEvent } from '@tsbuild/events'
import { describe, expect, it } from 'vitest'
import { createPlainDisplay } from './plain.ts'

const vertex = digestBytes('run')

/** What plain progress shows of a step that used so much. */
function shown(used: { readonly cpuSeconds: number; readonly memoryBytes: number }): string {
  const events: readonly BuildEvent[] = [
    { type: 'vertex.planned', vertex, name: 'RUN make', inputs: [], source: null, at: 0 },
    { type: 'vertex.started', vertex, at: 0 },
    { type: 'vertex.log', vertex, stream: 'stdout', data: Buffer.from('no line end'), at: 1000 },
    {
      type: 'vertex.usage',
      vertex,
      userMicros: used.cpuSeconds * 1e6 - 250_000,
      systemMicros: 250_000,
      peakMemoryBytes: used.memoryBytes,
      readBytes: 1,
      writtenBytes: 1,
      at: 2000,
    },
    { type: 'vertex.completed', vertex, at: 2000 },
  ]
  let text = ''
  const display = createPlainDisplay((part) => {
    text += part
  })
  for (const event of events) display.update(event)
  display.end(3000)
  return text
}

describe('createPlainDisplay() and what a step used', () => {
  it.each([
    [{ cpuSeconds: 45.2, memoryBytes: 2e8 }, 'used 45.2s of CPU, 200.00MB of memory'],
    [{ cpuSeconds: 1, memoryBytes: 1.25e9 }, 'used 1.0s of CPU, 1.25GB of memory'],
  ])('says what is worth a line, behind the last words of the step: %j', (used, line) => {
    expect(shown(used)).toBe(`#1 RUN make\n#1 1.000 no line end\n#1 ${line}\n#1 DONE 2.0s\n`)
  })

  it('says nothing of a step that used little', () => {
    const text = shown({ cpuSeconds: 9.9, memoryBytes: 0.9e9 })
    expect(text).toBe('#1 RUN make\n#1 1.000 no line end\n#1 DONE 2.0s\n')
  })
})
