import { type Digest, digestBytes, digestKey } from '@tsbuild/digest'
import type { Vertex } from '@tsbuild/graph'
import { type CacheRecord, type SolverOp, solve } from '@tsbuild/solver'
import { describe, expect, it } from 'vitest'
import { evaluatePlan, evaluatePlanSliced } from './plan.ts'
import { parsePlan } from './plan-message.ts'
import type { PlanInput, PlanStep } from './types.ts'

interface Node {
  readonly name: string
  readonly kind: 'source' | 'files' | 'step' | 'view'
  readonly inputs: readonly number[]
  /** Of each input: the part that is read. */
  readonly selectors: readonly (string | undefined)[]
}

/** Mulberry32: the same numbers for the same seed. */
function randomOf(seed: number) {
  let state = seed
  return (limit: number) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}

function randomNodes(seed: number): readonly Node[] {
  const below = randomOf(seed)
  const first = { inputs: [], selectors: [] }
  const nodes: Node[] = [
    { name: 'source', kind: 'source', ...first },
    { name: 'files', kind: 'files', ...first },
  ]
  for (let at = 2; at < 12; at++) {
    const isView = below(5) === 0
    // A view stands upon what has a key.
    const wanted = [...new Set(Array.from({ length: 1 + below(3) }, () => below(at)))]
    const inputs = isView ? wanted.filter((input) => nodes[input]?.kind !== 'files') : wanted
    const kind = isView && inputs.length > 0 ? 'view' : 'step'
    const selectors = inputs.map(() => (kind === 'step' && below(3) === 0 ? `/part${below(2)}` : undefined))
    nodes.push({ name: `n${at}`, kind, inputs: inputs.length > 0 ? inputs : [0], selectors })
  }
  return nodes
}

const filesDigest = digestBytes('the files')
const vertexDigest = (name: string) => digestKey('test', name)

function opOf(node: Node, nodes: readonly Node[]): SolverOp<string> {
  switch (node.kind) {
    case 'source':
      return { kind: 'source', key: { image: node.name }, describe: async () => node.name }
    case 'files':
      return { kind: 'source', key: undefined, describe: async () => node.name }
    case 'view':
      return { kind: 'view', key: { view: node.name }, combine: (parts) => parts.join() }
    case 'step':
      return {
        kind: 'step',
        key: { step: node.name },
        inputs: node.inputs.map((input, at) => ({
          selector: node.selectors[at],
          content:
            nodes[input]?.kind === 'files' ? async () => ({ digest: filesDigest, preimage: 'x' }) : undefined,
        })),
        pure: false,
        bases: [],
        load: (stored) => String(stored),
        execute: async (_inputs, { vertex }) => ({
          result: vertex.name,
          stored: vertex.name,
          content: undefined,
          commit: async () => {},
        }),
      }
  }
}

/** Builds with the solver; gives the records that it makes and the keys that it asks for. */
async function build(nodes: readonly Node[], records: Map<Digest, CacheRecord>): Promise<Set<Digest>> {
  const asked = new Set<Digest>()
  const vertices = nodes.map(
    ({ name, inputs }): Vertex => ({
      digest: vertexDigest(name),
      op: { kind: 'local', name },
      inputs: inputs.map((input) => vertexDigest(nodes[input]?.name ?? '')),
      name,
      source: null,
      ignoreCache: false,
    }),
  )
  const byDigest = new Map(nodes.map((node) => [vertexDigest(node.name), node]))
  const solution = await solve<string>({
    graph: { vertices, targets: vertices.map(({ digest }) => digest) },
    op: (vertex) => {
      const op = opOf(byDigest.get(vertex.digest) as Node, nodes)
      if (op.kind !== 'step') return op
      const execute: typeof op.execute = async (inputs, context) => {
        const executed = await op.execute(inputs, context)
        const commit = async (keys: readonly Digest[], record: CacheRecord) => {
          for (const key of keys) records.set(key, record)
        }
        return { ...executed, commit }
      }
      return { ...op, execute }
    },
    cache: {
      load: (key) => {
        asked.add(key)
        return records.get(key)
      },
      link: (key, record) => void records.set(key, record),
    },
    exclusive: (_key, body) => body(),
    events: () => {},
    now: () => 1,
    signal: new AbortController().signal,
    parallelism: 2,
  })
  await solution.durable
  return asked
}

/** The plan of a graph, as it comes out at the other side. Sources are no steps. */
function planOf(nodes: readonly Node[]): readonly PlanStep[] {
  const places = new Map<number, number>()
  const steps: PlanStep[] = []
  for (const [at, node] of nodes.entries()) {
    if (node.kind !== 'step' && node.kind !== 'view') continue
    const inputs = node.inputs.map((input, index): PlanInput => {
      const of = nodes[input]
      const selector = node.selectors[index]
      if (of?.kind === 'files') return { kind: 'known', input: { kind: 'content', digest: filesDigest } }
      if (of?.kind === 'source')
        return { kind: 'known', input: { kind: 'source', key: { image: of.name }, selector } }
      return { kind: 'step', step: places.get(input) ?? -1, selector }
    })
    places.set(at, steps.push({ kind: node.kind, op: { [node.kind]: node.name }, inputs }) - 1)
  }
  const sent = parsePlan(JSON.stringify({ steps }))
  if (sent === undefined) throw new Error('a plan of our own is none')
  return sent.steps
}

describe('evaluatePlan()', () => {
  it('makes exactly the keys that the solver makes, on 200 random graphs', async () => {
    for (let seed = 1; seed <= 200; seed++) {
      const nodes = randomNodes(seed)
      const records = new Map<Digest, CacheRecord>()
      await build(nodes, records)
      const asked = await build(nodes, records)
      const evaluated = evaluatePlan(planOf(nodes), (key) => records.get(key)?.outputKey)
      expect(evaluated.every(({ outputKey }) => outputKey !== undefined)).toBe(true)
      const keys = evaluated.flatMap(({ key }) => (key === undefined ? [] : [key]))
      expect(new Set(keys)).toEqual(asked)
    }
  })

  it('finds what stands upon found steps alone, on 200 random graphs with holes', async () => {
    let holes = 0
    for (let seed = 1; seed <= 200; seed++) {
      const nodes = randomNodes(seed)
      const records = new Map<Digest, CacheRecord>()
      await build(nodes, records)
      const steps = planOf(nodes)
      const all = evaluatePlan(steps, (key) => records.get(key)?.outputKey)
      const below = randomOf(seed)
      for (const { key } of all) if (key !== undefined && below(4) === 0) records.delete(key)
      const expected: boolean[] = []
      for (const [at, { inputs, kind }] of steps.entries()) {
        const isRecorded = kind === 'view' || records.has(all[at]?.key as Digest)
        const stands = inputs.every((input) => input.kind === 'known' || expected[input.step] === true)
        expected.push(isRecorded && stands)
      }
      const found = evaluatePlan(steps, (key) => records.get(key)?.outputKey)
      expect(found.map(({ outputKey }) => outputKey !== undefined)).toEqual(expected)
      holes += expected.filter((each) => !each).length
    }
    expect(holes).toBeGreaterThan(100)
  })

  it('in slices says the same, and pauses once for each some hundred steps and inputs', async () => {
    const known = digestBytes('known')
    const steps = Array.from({ length: 1000 }, (_, at): PlanStep => {
      const below: readonly PlanInput[] = at === 0 ? [] : [{ kind: 'step', step: at - 1 }]
      return { kind: 'step', op: `step ${at}`, inputs: below }
    })
    const find = (_: Digest, step: number) => (step < 900 ? known : undefined)
    let pauses = 0
    const pause = async () => void pauses++
    expect(await evaluatePlanSliced(steps, find, pause)).toEqual(evaluatePlan(steps, find))
    expect(pauses).toBeGreaterThan(15)
    expect(pauses).toBeLessThan(25)
    const stop = async () => {
      throw new Error('the client has gone')
    }
    await expect(evaluatePlanSliced(steps, find, stop)).rejects.toThrow('has gone')
  })

  it('goes on over what the client knows, without looking for it', () => {
    const known = digestBytes('known')
    const looked: number[] = []
    const first: PlanStep = { kind: 'step', op: 'a', inputs: [], outputKey: known }
    const second: PlanStep = { kind: 'step', op: 'b', inputs: [{ kind: 'step', step: 0 }] }
    const evaluated = evaluatePlan([first, second], (_key, step) => {
      looked.push(step)
      return undefined
    })
    expect(looked).toEqual([1])
    expect(evaluated[0]).toEqual({ key: undefined, outputKey: known })
    expect(evaluated[1]?.key).toBeDefined()
  })
})
