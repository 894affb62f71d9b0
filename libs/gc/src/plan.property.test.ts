import { describe, expect, it } from 'vitest'
import { planPrune } from './plan.ts'
import { type ItemSpec, makeInventory } from './testing/make-inventory.ts'
import type { Inventory, PrunePolicy } from './types.ts'
import { worthOf } from './value.ts'

const sequences = 10_000
const minute = 60_000

/** mulberry32: the same numbers each time, so that a failure names its seed. */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }
interface Step extends Mutable<ItemSpec> {
  readonly bytes: number
  usedMs: number
  readonly rebuildMs: number
  readonly below: readonly string[]
  readonly parts: readonly string[]
}

/** A store as a test keeps it: steps with their layers, and images of some of them. */
interface World {
  now: number
  next: number
  steps: Map<string, Step>
  /** Sizes of layers. */
  layers: Map<string, number>
  /** The layers of each named image. */
  images: Map<string, readonly string[]>
}

function build(world: World, pick: (below: number) => number): void {
  const known = [...world.steps.values()]
  const base = pick(3) > 0 ? known[pick(known.length)] : undefined
  let below = base?.id
  const chain: Step[] = []
  for (let left = 1 + pick(4); left > 0; left--) {
    const id = `s${world.next++}`
    // Steps that change nothing share one layer.
    const layer = pick(4) === 0 ? 'nothing' : `l-${id}`
    if (!world.layers.has(layer)) world.layers.set(layer, 4096 * (1 + pick(50)))
    const step = {
      ...{ id, bytes: 4096 * (1 + pick(100)), usedMs: world.now, rebuildMs: 1 + pick(60_000) },
      ...{ below: below === undefined ? [] : [below], parts: [layer] },
    }
    world.steps.set(id, step)
    chain.push(step)
    below = id
  }
  if (pick(3) === 0) world.images.set(`image${pick(3)}`, layersBelow(world, chain.at(-1)))
}

function layersBelow(world: World, step: Step | undefined): readonly string[] {
  const layers: string[] = []
  for (let at = step; at !== undefined; at = world.steps.get(at.below[0] ?? '')) layers.push(...at.parts)
  return layers
}

function specsOf({ steps, layers, images }: World): readonly ItemSpec[] {
  const part = { kind: 'base', standing: { as: 'part' } } as const
  const image = { kind: 'image', standing: { as: 'fixed', code: 'image' }, bytes: 0 } as const
  return [
    ...steps.values(),
    ...[...layers].map(([id, bytes]) => ({ ...part, id, bytes })),
    ...[...images].map(([id, parts]) => ({ ...image, id, parts: [...new Set(parts)] })),
  ]
}

function policyOf(pick: (below: number) => number): PrunePolicy {
  const some = <T>(value: T) => (pick(2) === 0 ? value : undefined)
  return {
    reach: pick(2) === 0 ? 'all' : 'unused',
    olderThanMs: some(pick(200) * minute),
    keepBytes: some(4096 * pick(500)),
    maxUsedBytes: some(4096 * pick(500)),
  }
}

/**
 * What a prune leaves, found out the slow way: as long as something has to go, of all steps that may and that nothing left stands upon, the
 * one that is worth least. Nothing of it is the planner's but the value of a step.
 */
function leftBy(policy: PrunePolicy, world: World, inUse: ReadonlySet<string>): ReadonlySet<string> {
  const left = new Map(world.steps)
  const named = new Set([...world.images.values()].flat())
  const needed = () => new Set([...named, ...[...left.values()].flatMap(({ parts }) => parts)])
  const total = () => {
    const steps = [...left.values()].reduce((sum, { bytes }) => sum + bytes, 0)
    return [...needed()].reduce((sum, layer) => sum + (world.layers.get(layer) ?? 0), steps)
  }
  const limited = policy.keepBytes !== undefined || policy.maxUsedBytes !== undefined
  const limit = Math.max(policy.keepBytes ?? 0, policy.maxUsedBytes ?? 0)
  const users = new Map([...world.layers.keys()].map((layer) => [layer, countUsers(world, layer)]))
  const mayGo = (step: Step) =>
    !inUse.has(step.id ?? '') &&
    world.now - step.usedMs >= (policy.olderThanMs ?? 0) &&
    (policy.reach === 'all' || ![...world.images.values()].some((layers) => isOf(world, step, layers))) &&
    ![...left.values()].some(({ below }) => below.includes(step.id))
  const worth = (step: Step) => {
    const shares = step.parts.map((layer) => (world.layers.get(layer) ?? 0) / (users.get(layer) ?? 1))
    const bytes = step.bytes + shares.reduce((sum, share) => sum + share, 0)
    return worthOf(step.rebuildMs, bytes, world.now - step.usedMs)
  }
  while (!limited || total() > limit) {
    const [least] = [...left.values()].filter(mayGo).toSorted((a, b) => worth(a) - worth(b))
    if (least === undefined) break
    left.delete(least.id)
  }
  return new Set([...left.keys(), ...needed(), ...world.images.keys()])
}

function countUsers({ steps, images }: World, layer: string): number {
  const names = [...steps.values()]
    .map(({ parts }) => parts)
    .concat([...images.values()].map((list) => [...list]))
  return names.filter((parts) => parts.includes(layer)).length
}

/** Whether every layer from the ground up to the step is one of the image's. */
function isOf(world: World, step: Step, layers: readonly string[]): boolean {
  return layersBelow(world, step).every((layer) => layers.includes(layer))
}

function idsLeft(inventory: Inventory, policy: PrunePolicy, world: World, inUse: ReadonlySet<string>) {
  const indexes = inventory.items.flatMap(({ id }, index) => (inUse.has(id) ? [index] : []))
  const facts = { now: world.now, freeBytes: 1e12, inUse: new Set(indexes) }
  const { decisions, order, freedBytes } = planPrune(inventory, policy, facts)
  const gone = order.map((index) => inventory.items[index])
  expect(gone.reduce((sum, item) => sum + (item?.bytes ?? 0), 0)).toBe(freedBytes)
  return new Set(decisions.flatMap(({ item, keep }) => (keep ? [item.id] : [])))
}

function play(seed: number): void {
  const pick = random(seed)
  const world: World = {
    now: 1_700_000_000_000,
    next: 0,
    steps: new Map(),
    layers: new Map(),
    images: new Map(),
  }
  for (let turn = 0; turn < 6; turn++) {
    world.now += pick(120) * minute
    build(world, pick)
    for (const step of world.steps.values()) if (pick(8) === 0) step.usedMs = world.now
    if (pick(4) === 0) world.images.delete(`image${pick(3)}`)
    if (pick(2) === 0) continue
    // Whoever uses a step uses what it stands upon.
    const inUse = new Set<string>()
    const tops = [...world.steps.values()].filter(() => pick(8) === 0)
    for (const top of tops) {
      for (let at: Step | undefined = top; at !== undefined; at = world.steps.get(at.below[0] ?? ''))
        inUse.add(at.id)
    }
    const policy = policyOf(pick)
    const expected = leftBy(policy, world, inUse)
    const needed = new Set(
      [...world.steps.values(), ...[...world.images.values()].map((parts) => ({ parts }))].flatMap(
        ({ parts }) => parts,
      ),
    )
    for (const layer of world.layers.keys()) if (!needed.has(layer)) world.layers.delete(layer)
    const left = idsLeft(makeInventory(specsOf(world)), policy, world, inUse)
    expect([...left].toSorted(), `seed ${seed}, turn ${turn}, ${JSON.stringify(policy)}`).toEqual(
      [...expected].toSorted(),
    )
    world.steps = new Map([...world.steps].filter(([id]) => left.has(id)))
    world.layers = new Map([...world.layers].filter(([id]) => left.has(id)))
  }
}

describe('planPrune() over time', () => {
  it(`leaves what a simple model leaves, in ${sequences} sequences of builds, uses and prunes (GC-04)`, () => {
    for (let seed = 1; seed <= sequences; seed++) play(seed)
  }, 300_000)
})
