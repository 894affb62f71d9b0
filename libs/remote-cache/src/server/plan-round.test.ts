import { maxPlanBytes } from '@tsbuild/cache-protocol'
import { digestBytes } from '@tsbuild/digest'
import type { PlannedStep } from '@tsbuild/solver'
import { describe, expect, it } from 'vitest'
import { nextRound } from './plan-round.ts'

const stepOf = (name: string, bytes: number): PlannedStep => {
  const digest = digestBytes(name)
  const vertex = { digest, op: { kind: 'local', name }, inputs: [], name, source: null, ignoreCache: false }
  return { vertex, kind: 'step', op: { run: 'x'.repeat(bytes) }, inputs: [], inputNames: [] } as never
}

describe('nextRound()', () => {
  it('asks for no more than a server takes in one request', () => {
    const steps = Array.from({ length: 12 }, (_, place) => stepOf(`step ${place}`, 1024 * 1024))
    const state = { counts: new Map(), known: () => undefined, asked: new Set<never>() }
    const round = nextRound(steps, state)
    expect(round.steps).toHaveLength(7)
    expect(round.planned).toEqual(steps.slice(0, 7))
    expect(Buffer.byteLength(JSON.stringify({ steps: round.steps }))).toBeLessThanOrEqual(maxPlanBytes)
  })
})
