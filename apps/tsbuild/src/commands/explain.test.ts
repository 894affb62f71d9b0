import type { ExplainReport } from '@tsbuild/builder'
import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { main } from '../main.ts'
import { memoryHost } from '../test-support/memory-host.ts'

/** What time it is for a host in memory. */
const at = 5_000
const report: ExplainReport = {
  build: { ref: '0123456789abcdef01234567', name: 'app:1', startedAt: at, outcome: 'completed' },
  misses: [
    {
      number: 7,
      vertex: digestBytes('copy'),
      name: '[2/3] COPY a\x1b[2J /a',
      reason: { code: 'files', text: 'a changed' },
      earlier: { name: '[2/3] COPY b /a', createdAt: at - 7_200_000, durationMs: 5 },
      cause: null,
      differences: [],
      text: ['files of x:', '  a changed'],
    },
    {
      number: 8,
      vertex: digestBytes('run'),
      name: '[3/3] RUN a',
      reason: { code: 'input', text: 'after COPY a /a (a changed)' },
      earlier: null,
      cause: { name: '[2/3] COPY a /a', reason: { code: 'files', text: 'a changed' } },
      differences: null,
      text: [],
    },
  ],
  hits: [
    { number: 5, vertex: digestBytes('x'), name: '[1/3] RUN slow\nand more', from: 'local', savedMs: 61_000 },
    { number: 6, vertex: digestBytes('y'), name: 'RUN y', from: 'remote', savedMs: null },
  ],
  exports: [
    { step: 'exporting to image', blob: 'sha256:ab', bytes: 1_500, outcome: 'sent' },
    { step: 'exporting to image', blob: 'sha256:cd', bytes: null, outcome: 'mounted' },
    { step: 'exporting to image', blob: 'sha256:ef', bytes: 5, outcome: 'exists' },
  ],
  context: [{ path: 'big', bytes: 2e6, step: '[2/3] COPY . /', from: '[internal] load build context' }],
}

async function explain(args: readonly string[], answer: Partial<ExplainReport> = {}) {
  const asked: unknown[] = []
  const host = memoryHost({
    env: { TSBUILD_ROOT: '/store' },
    builder: {
      explain: async (options) => {
        asked.push(options)
        return { ...report, ...answer }
      },
    },
  })
  const code = await main(['explain', ...args], host)
  return { code, out: host.out(), err: host.err(), asked }
}

describe('tsbuild explain', () => {
  it('says why steps ran, what hits saved and what a push sent', async () => {
    const { code, out, asked } = await explain([])
    expect([code, asked]).toEqual([0, [{ ref: undefined, step: undefined, context: undefined }]])
    expect(out).toBe(`Build 0123456789abcdef01234567 of app:1, now, completed

#7 [2/3] COPY a\\x1b[2J /a
   MISS: a changed
   compared with the record of 2 hours ago, [2/3] COPY b /a
     files of x:
       a changed

#8 [3/3] RUN a
   MISS: after COPY a /a (a changed)
   comes from [2/3] COPY a /a: a changed

Cached, which saved 1m01s:
STEP   FROM     SAVED   NAME
#5     local    1m01s   [1/3] RUN slow and more
#6     remote   -       RUN y

Pushed:
WHAT                 SIZE    BLOB
sent                 1.5kB   sha256:ab
mounted from there   -       sha256:cd
already there        5B      sha256:ef

Largest files that were read:
SIZE   FILE   READ BY
2MB    big    [2/3] COPY . /
`)
  })

  it('asks for one step of one build, and gives JSON', async () => {
    const { out, asked } = await explain(['--context', '--format', 'json', '^1', 'RUN a'])
    expect(asked).toEqual([{ ref: '^1', step: 'RUN a', context: true }])
    expect(JSON.parse(out)).toEqual(JSON.parse(JSON.stringify(report)))
  })

  it('says so where nothing had to run, and where no lists are kept', async () => {
    const nothing = { misses: [], hits: [], exports: [], context: [] }
    const { out } = await explain(['--context'], nothing)
    expect(out).toMatch(/\n\nNothing had to run\.\n\nNo lists of the files that were read are kept\.\n$/)
  })

  it('refuses a format that it has not', async () => {
    const { code, err } = await explain(['--format', 'html'])
    expect([code, err]).toEqual([2, expect.stringContaining('[ERR_USAGE]')])
  })
})
