import { join } from 'node:path'
import type { Workspace } from './workspace.ts'
import { readLine } from './workspace.ts'

/** What {@link runOverlapping} found. */
export interface Overlap {
  /** How often each step was executed, by its name. */
  readonly runs: Readonly<Record<string, number>>
  /** The names of all steps. */
  readonly steps: readonly string[]
}

/**
 * Starts builds in so many processes at once whose steps overlap: some are of all of them, some of half of them, some of two, and a
 * stage of half of them is copied from. Each step leaves a line in a cache mount, so what ran twice is counted twice, whatever
 * the builds say.
 *
 * @param round names the steps, which are others in each round
 */
export async function runOverlapping(
  workspace: Workspace,
  processes: number,
  round: number,
): Promise<Overlap> {
  const mount = `--mount=type=cache,id=marks-${round},target=/marks`
  const steps = new Set<string>()
  const mark = (name: string) => {
    steps.add(name)
    return `RUN ${mount} echo ${name} >> /marks/log && echo ${name} > /${name}`
  }
  // Two processes build each context, so that no step is of one process alone.
  const contexts = Array.from({ length: processes }, (_, process) => {
    const index = process >> 1
    const lines = [
      'FROM busybox:test AS tools',
      mark(`r${round}-tools-${index % 2}`),
      'FROM busybox:test',
      mark(`r${round}-all-1`),
      mark(`r${round}-all-2`),
      mark(`r${round}-half-${index % 2}`),
      `COPY --from=tools /r${round}-tools-${index % 2} /tool`,
      mark(`r${round}-pair-${index}`),
    ]
    return workspace.context(`overlap-${round}-${process}`, { Dockerfile: lines.join('\n') })
  })
  const outcomes = await Promise.all(contexts.map((context) => workspace.tsbuild.build([context])))
  if (outcomes.some(({ failed }) => failed.length > 0)) throw new Error('a step failed')
  const out = workspace.path(`overlap-out-${round}`)
  const reader = workspace.context(`overlap-reader-${round}`, {
    Dockerfile: [
      'FROM busybox:test AS r',
      `RUN ${mount} cp /marks/log /log`,
      'FROM scratch',
      'COPY --from=r /log /',
    ].join('\n'),
  })
  await workspace.tsbuild.build(['-o', out, reader])
  const runs: Record<string, number> = {}
  for (const line of readLine(join(out, 'log')).split('\n')) runs[line] = (runs[line] ?? 0) + 1
  return { runs, steps: [...steps] }
}
