import { describe, expect, it } from 'vitest'
import { receivedBytes } from './run-git.ts'

describe('receivedBytes()', () => {
  it('reads the last count of git', () => {
    const line = (percent: number, amount: string) =>
      `Receiving objects: ${String(percent).padStart(3)}% (${percent}/1000000), ${amount} | 1.21 MiB/s\r`
    expect(receivedBytes(line(1, '2.50 KiB') + line(99, '1.50 MiB'))).toBe(1_572_864)
    expect(receivedBytes('Receiving objects:  50% (1/2)\r')).toBeUndefined()
  })

  it('looks at what a remote repeats without end once', () => {
    expect(receivedBytes('Receiving objects:'.repeat(40_000))).toBeUndefined()
  })
})
