import { type Digest, digestKey, type KeyValue } from '@tsbuild/digest'
import type { Vertex } from '@tsbuild/graph'
import { type CacheRecord, type SolverOp, type StepOp, solve } from '../index.ts'
import { withElsewhere } from './elsewhere.ts'

/** A file system of the tests. Only `text` is content; `execution` says who made it. */
export type Tree =
  | { readonly kind: 'image'; readonly text: string }
  | { readonly kind: 'layer'; readonly below: Tree | null; readonly text: string; readonly execution: number }
  | { readonly kind: 'merge'; readonly parts: readonly Tree[] }

/** A vertex of a random graph. */
export interface Node {
  readonly name: string
  /**
   * `run` makes what its text and its base say, in few variants, so that another text often makes the same; `date` makes
   * what the weather is; `copy` takes the uppermost text of `from` and nothing else.
   */
  readonly kind: 'image' | 'context' | 'run' | 'date' | 'copy' | 'merge'
  readonly text: string
  readonly base?: string | undefined
  /** Read by content. */
  readonly from?: string | undefined
  /** Counts by key, and nothing is built upon it. */
  readonly beside?: string | undefined
  readonly parts?: readonly string[]
}

/** One run of a step. */
export interface Execution {
  readonly node: string
  readonly build: number
  /** The op and all that it read, as content. */
  readonly did: string
  readonly made: string
}

/** What one build gave, by node. */
export type Outcome = ReadonlyMap<string, Tree>

/** The uppermost text of a tree: what a copy reads of it. */
function topOf(tree: Tree | undefined): string {
  if (tree === undefined) return ''
  return tree.kind === 'merge' ? tree.parts.map(topOf).join('+') : tree.text
}

/** A tree as content: whoever made it left out. */
export function contentOf(tree: Tree | undefined): KeyValue {
  if (tree === undefined) return null
  if (tree.kind === 'image') return { image: tree.text }
  if (tree.kind === 'merge') return { parts: tree.parts.map(contentOf) }
  return { below: tree.below === null ? null : contentOf(tree.below), text: tree.text }
}

/** As an op says which of its inputs is what. */
const opOf = (node: Node): KeyValue => ({
  kind: node.kind,
  text: node.text,
  roles: rolesOf(node).map(({ role }) => role),
})

/** What a step reads, as content. `inputs` by the part they play. */
export function didOf(node: Node, input: (name: string | undefined) => Tree | undefined): string {
  const { base, beside, from } = node
  return JSON.stringify([
    opOf(node),
    contentOf(input(base)),
    contentOf(input(beside)),
    from === undefined ? null : topOf(input(from)),
  ])
}

const variants = 3

function textMade(node: Node, did: string, weather: number, from: Tree | undefined): string {
  if (node.kind === 'copy') return topOf(from)
  if (node.kind === 'date') return `weather ${weather}`
  return `variant ${Number.parseInt(digestKey('test', did).slice(-6), 16) % variants}`
}

/** Records and trees that outlive a build, as a store keeps them. */
export class RandomWorld {
  weather = 0
  readonly log: Execution[]
  readonly gone = new Set<number>()
  readonly #records = new Map<Digest, CacheRecord>()
  readonly #locks = new Map<Digest, Promise<unknown>>()
  #clock = 0
  #builds = 0

  readonly #others: readonly RandomWorld[]

  /** @param others machines whose records this one finds; all have one log */
  constructor(others: readonly RandomWorld[] = []) {
    this.#others = others
    this.log = others[0]?.log ?? []
  }

  /** A record that this machine made itself. */
  record(key: Digest): CacheRecord | undefined {
    return this.#records.get(key)
  }

  /** How many builds there were. */
  get builds(): number {
    return this.#builds
  }

  /** Builds all nodes; `forced` are run whatever is recorded. */
  async build(nodes: readonly Node[], forced: ReadonlySet<string> = new Set()): Promise<Outcome> {
    const build = ++this.#builds
    const outcome = new Map<string, Tree>()
    const byName = new Map(nodes.map((node) => [node.name, node]))
    const vertices = nodes.map((node) => vertexOf(node, forced.has(node.name)))
    const all = vertexOf({ name: 'all', kind: 'merge', text: '', parts: [...byName.keys()] }, false)
    const here = {
      load: (key: Digest) => this.#records.get(key),
      link: (key: Digest, record: CacheRecord) => void this.#records.set(key, record),
    }
    const elsewhere = (key: Digest) =>
      this.#others.map((other) => other.record(key)).find((record) => record !== undefined)
    const solution = await solve<Tree>({
      graph: { vertices: [...vertices, all], targets: [all.digest, ...vertices.map(({ digest }) => digest)] },
      op: ({ name }) => {
        const node = byName.get(name)
        return node === undefined ? mergeOp() : this.#opOf(node, build, outcome)
      },
      cache: this.#others.length === 0 ? here : withElsewhere(here, elsewhere),
      exclusive: async (key, body) => {
        const mine = (this.#locks.get(key) ?? Promise.resolve()).then(body)
        this.#locks.set(
          key,
          mine.catch(() => {}),
        )
        return await mine
      },
      events: () => {},
      now: () => this.#clock++,
      signal: new AbortController().signal,
      parallelism: 3,
    })
    await solution.durable
    const [made, ...alone] = solution.results
    if (made?.kind !== 'merge') throw new Error('nothing was built')
    for (const [index, name] of [...byName.keys()].entries()) {
      const tree = made.parts[index]
      const digests = [tree, alone[index]].map((each) => digestKey('test', contentOf(each)))
      if (digests[0] !== digests[1])
        throw new Error(`${name} is one thing as a target and another as an input`)
      if (tree !== undefined) outcome.set(name, tree)
    }
    return outcome
  }

  #opOf(node: Node, build: number, outcome: Map<string, Tree>): SolverOp<Tree> {
    const { kind, text, name } = node
    if (kind === 'image')
      return { kind: 'source', key: { image: text }, describe: async () => ({ kind: 'image', text }) }
    if (kind === 'context')
      return { kind: 'source', key: undefined, describe: async () => ({ kind: 'image', text }) }
    if (kind === 'merge') return mergeOp()
    const roles = rolesOf(node)
    const content = async (tree: Tree) => ({ digest: digestKey('test', topOf(tree)), preimage: topOf(tree) })
    const execute: StepOp<Tree>['execute'] = async (inputs) => {
      const input = (wanted: string | undefined) =>
        wanted === undefined ? undefined : inputs[roles.findIndex(({ of }) => of === wanted)]
      const did = didOf(node, input)
      const made = textMade(node, did, this.weather, input(node.from))
      const execution = this.log.push({ node: name, build, did, made }) - 1
      const tree: Tree = { kind: 'layer', below: input(node.base) ?? null, text: made, execution }
      outcome.set(name, tree)
      // The next one may begin before this one is committed.
      await new Promise((resume) => setImmediate(resume))
      return {
        result: tree,
        stored: execution,
        content: digestKey('test', made),
        commit: async (keys, record) => {
          for (const key of keys) this.#records.set(key, record)
        },
      }
    }
    return {
      kind: 'step',
      key: opOf(node),
      inputs: roles.map(({ role }) => (role === 'from' ? { content } : {})),
      pure: kind === 'copy',
      bases: node.base === undefined ? [] : [roles.findIndex(({ role }) => role === 'base')],
      load: (stored, [below]) => {
        const execution = Number(stored)
        const layer = this.log[execution]?.made
        if (layer === undefined || this.gone.has(execution)) return undefined
        return { kind: 'layer', below: below ?? null, text: layer, execution }
      },
      execute,
    }
  }
}

function mergeOp(): SolverOp<Tree> {
  return { kind: 'view', key: { merge: 1 }, combine: (parts) => ({ kind: 'merge', parts }) }
}

function rolesOf({ base, beside, from }: Node): readonly { readonly role: string; readonly of: string }[] {
  return Object.entries({ base, beside, from }).flatMap(([role, of]) =>
    of === undefined ? [] : [{ role, of }],
  )
}

function vertexOf(node: Node, ignoreCache: boolean): Vertex {
  const inputs = node.parts ?? rolesOf(node).map(({ of }) => of)
  const { name } = node
  return {
    digest: digestKey('test', name),
    op: { kind: 'local', name },
    inputs: inputs.map((input) => digestKey('test', input)),
    name,
    source: null,
    ignoreCache,
  }
}
