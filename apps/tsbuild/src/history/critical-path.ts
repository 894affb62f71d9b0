import type { BuildRecord, BuildStep } from '@tsbuild/builder'

/**
 * The steps that a build's duration comes from: from the one that ended last, each time the input that it had to wait for the
 * longest. Making another step faster does not make the build faster.
 *
 * @returns their digests
 */
export function criticalPath({ steps }: Pick<BuildRecord, 'steps'>): ReadonlySet<BuildStep['vertex']> {
  const byVertex = new Map(steps.map((step) => [step.vertex, step]))
  const path = new Set<BuildStep['vertex']>()
  // What the builder does by itself has no inputs that are known.
  let next = latest(steps.filter(({ role }) => role === 'step'))
  while (next !== undefined && !path.has(next.vertex)) {
    path.add(next.vertex)
    next = latest(next.inputs.flatMap((input) => byVertex.get(input) ?? []))
  }
  return path
}

/** Of those that ran. */
function latest(steps: readonly BuildStep[]): BuildStep | undefined {
  let found: BuildStep | undefined
  for (const step of steps) {
    if (step.startedAt === null || step.endedAt === null || step.outcome === 'cached') continue
    if (found === undefined || step.endedAt > (found.endedAt ?? 0)) found = step
  }
  return found
}
