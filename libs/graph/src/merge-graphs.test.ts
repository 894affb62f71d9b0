import { describe, expect, it } from 'vitest'
import { createGraphBuilder, type Graph, mergeGraphs } from './index.ts'

/** `common`, and upon it a step of this text. */
function graphOf(text: string, label: string): Graph {
  const graph = createGraphBuilder()
  const common = graph.add({ kind: 'local', name: 'common' }, { inputs: [], name: `${label} common` })
  const copy = {
    kind: 'copy',
    input: 0,
    sources: [text],
    dest: '/',
    exclude: [],
    parents: false,
    chown: undefined,
    chmod: undefined,
    unpack: false,
  } as const
  const target = graph.add(
    { kind: 'file', rootfs: undefined, owners: undefined, actions: [copy] },
    { inputs: [common], name: `${label} ${text}` },
  )
  return graph.build(target)
}

describe('mergeGraphs()', () => {
  it('has what several need once, under its first name, and inputs before their readers', () => {
    const graphs = [graphOf('a', 'one'), graphOf('b', 'two')]
    const { vertices, targets } = mergeGraphs(graphs)
    expect(vertices.map(({ name }) => name)).toEqual(['one common', 'one a', 'two b'])
    expect(targets).toEqual(graphs.map(({ target }) => target))
    const seen = new Set<string>()
    for (const { digest, inputs } of vertices) {
      for (const input of inputs) expect(seen.has(input)).toBe(true)
      seen.add(digest)
    }
  })

  it('keeps two targets that are the same, and one that is nothing', () => {
    const empty = createGraphBuilder().build(undefined)
    const { vertices, targets } = mergeGraphs([graphOf('a', 'one'), empty, graphOf('a', 'two')])
    expect(vertices).toHaveLength(2)
    expect(targets[1]).toBeUndefined()
    expect(targets[2]).toBe(targets[0])
  })
})
