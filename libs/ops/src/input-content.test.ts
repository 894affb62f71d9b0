import { digestBytes } from '@tsbuild/digest'
import type { Selection } from '@tsbuild/native'
import { describe, expect, it } from 'vitest'
import { scanSelections } from './input-content.ts'
import { recordingOptions, resultOf, snapshotId } from './testing/recording-options.ts'
import type { OpsOptions } from './types.ts'

const selectionOf = (source: string): Selection => ({
  sources: [source],
  exclude: [],
  parents: false,
  uncounted: [],
})

/** A helper whose digest of a selection is that of its first source. */
function counting(fails = 0) {
  const walks: (readonly string[])[] = []
  const native = {
    scan: async (_: unknown, selections: readonly Selection[]) => {
      walks.push(selections.map(({ sources: [source = ''] }) => source))
      if (walks.length <= fails) throw new Error('ENOENT')
      return {
        selections: selections.map(({ sources: [source = ''] }) => ({
          digest: digestBytes(source),
          missing: source === 'missing' ? [{ source }] : [],
        })),
        manifests: new Map(),
      }
    },
  } as unknown as OpsOptions['native']
  const { options } = recordingOptions(() => Promise.reject(new Error('not run')), { native })
  return { options, walks }
}

const { signal } = new AbortController()

describe('scanSelections()', () => {
  it('scanSelections() walks a stage once for all who ask at one time, and gives each its own', async () => {
    const { options, walks } = counting()
    const [stage, other] = [resultOf(snapshotId), resultOf(snapshotId)]
    const asked = [['a'], ['b', 'missing'], [], ['c']].map((sources) =>
      scanSelections(stage, sources.map(selectionOf), options, signal),
    )
    const elsewhere = scanSelections(other, [selectionOf('d')], options, signal)
    expect((await Promise.all(asked)).map(({ digests, missing }) => [digests, missing])).toEqual([
      [[digestBytes('a')], []],
      [[digestBytes('b'), digestBytes('missing')], ['missing']],
      [[], []],
      [[digestBytes('c')], []],
    ])
    expect((await elsewhere).digests).toEqual([digestBytes('d')])
    expect(walks.toSorted()).toEqual([['a', 'b', 'missing', 'c'], ['d']])
    await scanSelections(stage, [selectionOf('later')], options, signal)
    expect(walks).toHaveLength(3)
  })

  it('scanSelections() fails for all who asked, and for nobody who asks later', async () => {
    const { options, walks } = counting(1)
    const stage = resultOf(snapshotId)
    const asked = ['a', 'b'].map((source) => scanSelections(stage, [selectionOf(source)], options, signal))
    for (const result of await Promise.allSettled(asked)) expect(result.status).toBe('rejected')
    expect((await scanSelections(stage, [selectionOf('a')], options, signal)).digests).toEqual([
      digestBytes('a'),
    ])
    expect(walks).toHaveLength(2)
  })
})
