import { type Digest, digestBytes } from '@tsbuild/digest'
import { isBuildError } from '@tsbuild/errors'
import type { Vertex } from '@tsbuild/graph'
import { describe, expect, it } from 'vitest'
import { type Converted, contextOf, convertText } from './testing/convert-text.ts'
import type { NamedContext } from './types.ts'

// `npm run test:soak` sets both; a failure names what repeats it.
const rounds = Number(process.env.TSBUILD_FUZZ_ROUNDS ?? 600)
const seed = Number(process.env.TSBUILD_FUZZ_SEED ?? 20_261_121)

const froms = ['base', 'scratch', 'a', 'b', 'c', 'ctx', 'img', 'none', 'trig', '$G', '${G:-base}', '']
const names = ['a', 'b', 'c', 'ctx']
const sources = [
  'x',
  'x y',
  '/',
  '.',
  '*',
  '$A',
  'https://h.test/f',
  'https://h.test/r.git#v:s',
  'github.com/o/r',
  '<<f',
  '["q r"',
]
const places = ['/', '/d', 'd/', '.', '..', '$A', '']
const flags = [
  '',
  '--link',
  '--chown=u:g',
  '--chown=1',
  '--chmod=644',
  '--chmod=u+x',
  '--chmod=$A',
  '--exclude=x',
  '--checksum=$A',
  '--keep-git-dir',
  '--unpack',
  '--parents',
  ...['a', 'b', 'c', '0', '1', '7', 'img', 'ctx', 'scratch', 'context'].map((name) => `--from=${name}`),
]
const others = [
  'ARG A',
  'ARG A=$G B=$A',
  'ARG SOURCE_DATE_EPOCH',
  'ENV A=1',
  'ENV A=${B?no}',
  'ENV PATH=/x:$PATH',
  'LABEL a=$A',
  'WORKDIR /',
  'WORKDIR $A',
  'WORKDIR ../w',
  'USER $A',
  'SHELL ["/s"]',
  'CMD x',
  'ENTRYPOINT ["e"]',
  'EXPOSE 1-3 $A',
  'VOLUME $A /v',
  'STOPSIGNAL $A',
  'HEALTHCHECK --interval=1s CMD x',
  'MAINTAINER m',
  'RUN x',
  'RUN ["x"]',
  'RUN <<E\n#!x\nE',
  'RUN --network=none x <<E\nE',
  'RUN --mount=from=b,target=/b x',
  'RUN --mount=type=$A,target=/b x',
  'RUN --mount=target=. --mount=source=y,target=/y,rw x',
  'RUN --mount=from=ctx,target=/c --mount=from=c,source=a,target=c x',
  'RUN --mount=type=cache,target=/c,from=a --mount=from=img,target=/c/d x',
  'RUN --mount=type=secret,id=s,env=S --mount=type=ssh --mount=type=tmpfs,target=t x',
  'ONBUILD RUN t',
  'ONBUILD COPY --from=a / /',
  'ONBUILD ARG SOURCE_DATE_EPOCH=1',
]

/** The same numbers for the same seed, from 0 up to a limit. */
function createDice(start: number): (limit: number) => number {
  let state = start >>> 0
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

function makeFile(dice: (limit: number) => number): string {
  const of = (list: readonly string[]) => list[dice(list.length)] ?? ''
  const lines = dice(3) === 0 ? [`ARG G=${of(froms)}`] : []
  for (let stage = 0; stage <= dice(4); stage++) {
    lines.push(`FROM ${of(froms) || 'base'}${dice(3) === 0 ? '' : ` AS ${of(names)}`}`)
    for (let line = 0; line < dice(7); line++) lines.push(dice(2) === 0 ? of(others) : makeCopy(of, dice))
  }
  return `${lines.join('\n')}\n`
}

function makeCopy(of: (list: readonly string[]) => string, dice: (limit: number) => number): string {
  const words = [dice(2) === 0 ? 'COPY' : 'ADD', of(flags), of(flags), of(sources), of(sources), of(places)]
  const text = words.filter((word) => word !== '').join(' ')
  return text.includes('<<f') ? `${text}\n$A\nf` : text
}

const namedContexts = new Map<string, NamedContext>([
  ['ctx', { kind: 'files' }],
  ['c::linux/amd64', { kind: 'image', reference: 'img' }],
])

/** The vertices that make the layers of a file system, those of its base image left out. */
function layersOf(vertices: ReadonlyMap<Digest, Vertex>, digest: Digest | undefined): readonly Vertex[] {
  const vertex = digest === undefined ? undefined : vertices.get(digest)
  if (vertex === undefined || vertex.op.kind === 'image') return []
  if (vertex.op.kind === 'merge') return vertex.inputs.flatMap((input) => layersOf(vertices, input))
  const { rootfs } = vertex.op.kind === 'exec' || vertex.op.kind === 'file' ? vertex.op : {}
  return [...(rootfs === undefined ? [] : layersOf(vertices, vertex.inputs[rootfs])), vertex]
}

/** What holds for every graph. */
function check({ graph, image }: Converted): void {
  const vertices = new Map<Digest, Vertex>()
  for (const vertex of graph.vertices) {
    for (const input of vertex.inputs) expect(vertices.has(input)).toBe(true)
    vertices.set(vertex.digest, vertex)
    if (vertex.op.kind === 'exec') {
      const { rootfs, mounts } = vertex.op
      const read = mounts.flatMap((mount) => ('input' in mount ? [mount.input] : []))
      const indexes = [rootfs, ...read].filter((index) => index !== undefined)
      expect(indexes).toEqual([...vertex.inputs.keys()])
      const targets = mounts.flatMap(({ target }) => target ?? [])
      expect(new Set(targets).size).toBe(targets.length)
      for (const target of targets) expect(target).toMatch(/^\/[^/]/)
    }
    if (vertex.op.kind !== 'file') continue
    const { rootfs, owners, actions } = vertex.op
    const read = actions.flatMap((action) => (action.kind === 'copy' ? [action.input] : []))
    const indexes = [rootfs, owners, ...read].filter((index) => index !== undefined)
    expect(indexes.toSorted()).toEqual([...vertex.inputs.keys()])
  }
  const layers = layersOf(vertices, graph.target)
  expect(layers.map(({ op }) => op.kind).filter((kind) => kind !== 'exec' && kind !== 'file')).toEqual([])
  expect(image.history.filter(({ emptyLayer }) => !emptyLayer)).toHaveLength(layers.length)
  expect(image.config.workingDir).toMatch(/^\//)
}

describe('toGraph() of files put together at random', () => {
  it('refuses with an error of the user, or gives a graph whose layers agree with the history', async () => {
    const dice = createDice(seed)
    const ends = { made: 0, refused: 0 }
    for (let round = 0; round < rounds; round++) {
      const text = makeFile(dice)
      try {
        const result = await convertText(text, {
          namedContexts,
          context: contextOf(),
          images: {
            img: {},
            none: { layers: 0 },
            trig: { config: { onBuild: ['COPY --link x /', 'RUN t'] } },
          },
          buildArgs: dice(4) === 0 ? { A: digestBytes('x') } : {},
        })
        check(result)
        ends.made++
      } catch (error) {
        if (!isBuildError(error) || error.kind !== 'user') {
          throw new Error(`TSBUILD_FUZZ_SEED=${seed}, round ${round}:\n${text}`, { cause: error })
        }
        ends.refused++
      }
    }
    // Both ways are walked often.
    expect(Math.min(ends.made, ends.refused)).toBeGreaterThan(rounds / 10)
  })
})
