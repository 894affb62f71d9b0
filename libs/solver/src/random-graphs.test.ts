import { describe, expect, it } from 'vitest'
import { contentOf, didOf, type Node, type Outcome, RandomWorld } from './testing/random-world.ts'

/** Mulberry32: the same numbers for the same seed. */
function createRandom(seed: number) {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
  const below = (limit: number) => Math.floor(next() * limit)
  return {
    below,
    one: <T>(list: readonly T[]): T => list[below(list.length)] as T,
    chance: (p: number) => next() < p,
  }
}
type Random = ReturnType<typeof createRandom>

/** @param own whether no two steps have one text, so that no two are one step to the cache */
function randomNodes(random: Random, own: boolean): Node[] {
  const nodes: Node[] = [
    { name: 'image', kind: 'image', text: '1' },
    { name: 'context', kind: 'context', text: 'a' },
  ]
  const count = 2 + random.below(8)
  for (let index = 0; index < count; index++) {
    const keyed = nodes.filter(({ kind }) => kind !== 'context').map(({ name }) => name)
    const name = `n${index}`
    const text = own ? `${name} 1` : '1'
    const maybe = (p: number) => (random.chance(p) ? random.one(keyed) : undefined)
    const base = maybe(0.8)
    const kind = random.one(['run', 'run', 'date', 'copy', 'copy', 'merge'] as const)
    if (kind === 'merge') {
      nodes.push({ name, kind, text: '', parts: [...new Set([random.one(keyed), random.one(keyed)])] })
    } else if (kind === 'copy') {
      const others = nodes.map((node) => node.name).filter((other) => other !== base)
      nodes.push({ name, kind, text, base, from: random.one(others) })
    } else {
      const beside = maybe(0.2)
      nodes.push({ name, kind, text, base, beside: beside === base ? undefined : beside })
    }
  }
  return nodes
}

/** Another text, image, file or base here and there. */
function change(nodes: Node[], random: Random, own: boolean): void {
  for (let index = 0; index < nodes.length; index++) {
    const node = nodes[index] as Node
    if (node.kind === 'merge' || !random.chance(0.25)) continue
    const version = String(1 + random.below(3))
    nodes[index] = { ...node, text: own && node.kind !== 'image' ? `${node.name} ${version}` : version }
  }
}

/** Each result is what the same step made of the same content as there is now. */
function expectTrue(world: RandomWorld, nodes: readonly Node[], outcome: Outcome): void {
  for (const node of nodes) {
    const tree = outcome.get(node.name)
    if (tree?.kind !== 'layer') continue
    const input = (name: string | undefined) => (name === undefined ? undefined : outcome.get(name))
    const did = didOf(node, input)
    expect(world.log.some((execution) => execution.did === did && execution.made === tree.text)).toBe(true)
  }
}

const contentsOf = (outcome: Outcome) =>
  [...outcome].map(([name, tree]) => [name, contentOf(tree)]).toSorted()

/**
 * The steps that must run: the forced ones, and those that read by key a result with a layer of a forced step in it. What
 * only ran beside such a result and made the same as before counts as before.
 */
function mustRun(nodes: readonly Node[], forced: ReadonlySet<string>): readonly string[] {
  const tainted = new Set<string>()
  const isTainted = (name: string | undefined) => name !== undefined && tainted.has(name)
  return nodes.flatMap(({ name, kind, base, beside, parts = [] }) => {
    const above = isTainted(base) || parts.some(isTainted)
    if (above || (forced.has(name) && kind !== 'copy')) tainted.add(name)
    const runs = forced.has(name) || above || isTainted(beside)
    return runs && kind !== 'merge' ? [name] : []
  })
}

describe('solve() of random graphs', { timeout: 60_000 }, () => {
  it('runs nothing twice that would do the same, and gives nothing that was made of something else', async () => {
    for (let seed = 0; seed < 60; seed++) {
      const random = createRandom(seed)
      const world = new RandomWorld()
      const nodes = randomNodes(random, false)
      for (let round = 0; round < 6; round++) {
        world.weather = random.below(3)
        // Two processes at a time, now and then.
        const outcomes = await Promise.all(
          Array.from({ length: 1 + random.below(2) }, () => world.build(nodes)),
        )
        for (const outcome of outcomes) expectTrue(world, nodes, outcome)
        change(nodes, random, false)
      }
      const did = world.log.map((execution) => execution.did)
      expect(did.length, `seed ${seed}`).toBe(new Set(did).size)
    }
  })

  it('gives nothing that is older than a forced run below it, and finds all of it the next time', async () => {
    let kept = 0
    for (let seed = 0; seed < 150; seed++) {
      const random = createRandom(1_000_000 + seed)
      const world = new RandomWorld()
      const nodes = randomNodes(random, true)
      for (let round = 0; round < 6; round++) {
        world.weather = random.below(2)
        const steps = nodes.filter(({ kind }) => !['image', 'context', 'merge'].includes(kind))
        const forced = new Set(steps.filter(() => random.chance(0.15)).map(({ name }) => name))
        const outcome = await world.build(nodes, forced)
        const { builds } = world
        expectTrue(world, nodes, outcome)
        const here = world.log.filter(({ build }) => build === builds)
        expect(new Set(here.map(({ did }) => did)).size, `seed ${seed}`).toBe(here.length)
        const ran = here.map(({ node }) => node)
        expect(ran, `seed ${seed}`).toEqual(expect.arrayContaining([...mustRun(nodes, forced)]))
        kept += forced.size > 0 ? steps.length - ran.length : 0
        // Again, in other weather: nothing runs, and each result is the one of before.
        world.weather = random.below(2)
        expect(contentsOf(await world.build(nodes)), `seed ${seed}`).toEqual(contentsOf(outcome))
        expect(world.log.filter(({ build }) => build > builds)).toEqual([])
        change(nodes, random, true)
        for (const [execution] of world.log.entries()) if (random.chance(0.1)) world.gone.add(execution)
      }
    }
    expect(kept).toBeGreaterThan(50)
  })

  it('gives on another machine what the one gave, whatever half of it that one has to ask for', async () => {
    let ran = 0
    for (let seed = 0; seed < 120; seed++) {
      const random = createRandom(2_000_000 + seed)
      const nodes = randomNodes(random, true)
      const one = new RandomWorld()
      one.weather = random.below(2)
      await one.build(nodes)
      // Another machine changes something: what it runs stands upon what the first one made.
      const other = new RandomWorld([one])
      other.weather = random.below(2)
      change(nodes, random, true)
      const outcome = await other.build(nodes)
      expectTrue(other, nodes, outcome)
      const { length } = other.log
      ran += length
      // A third one finds all of it, part in the one cache and part in the other, in any weather and any order.
      const third = new RandomWorld(random.chance(0.5) ? [one, other] : [other, one])
      third.weather = random.below(2)
      const found = await third.build(nodes)
      expect(third.log.slice(length), `seed ${seed}`).toEqual([])
      expect(contentsOf(found), `seed ${seed}`).toEqual(contentsOf(outcome))
    }
    expect(ran).toBeGreaterThan(200)
  })

  it('runs forced steps, and what stands upon them, though another machine has them', async () => {
    for (let seed = 0; seed < 60; seed++) {
      const random = createRandom(3_000_000 + seed)
      const nodes = randomNodes(random, true)
      const one = new RandomWorld()
      await one.build(nodes)
      const other = new RandomWorld([one])
      const steps = nodes.filter(({ kind }) => !['image', 'context', 'merge'].includes(kind))
      const forced = new Set(steps.filter(() => random.chance(0.2)).map(({ name }) => name))
      const { length } = one.log
      expectTrue(other, nodes, await other.build(nodes, forced))
      const ran = other.log.slice(length).map(({ node }) => node)
      expect(ran, `seed ${seed}`).toEqual(expect.arrayContaining([...mustRun(nodes, forced)]))
    }
  })
})
