import { posix } from 'node:path'
import { type Digest, digestBytes } from '@tsbuild/digest'
import type { FileAction, FileOp, Vertex } from '@tsbuild/graph'
import type { Dialect } from './dialect.ts'
import { filled, type GoValue, goJson } from './go-json.ts'
import { type ContentSelector, type KeyedInput, type KeyedNode, type KeyedStep, stepKey } from './node.ts'
import { ownerValue } from './owner.ts'

type CopyAction = Extract<FileAction, { kind: 'copy' }>

/** One action of BuildKit's: a copy of one path, or a new directory. */
interface Action {
  readonly value: (base: number) => GoValue
  /** What a copy reads. */
  readonly from?: { readonly node: KeyedNode; readonly selector: ContentSelector } | undefined
}

/**
 * A file op as BuildKit counts it: the actions as JSON, each in Base64, and for each input that is only read the digest of the paths.
 *
 * @param nodeOf what an input of the vertex is
 * @returns undefined for what this version of BuildKit does not have
 */
export function fileStep(
  op: FileOp,
  vertex: Pick<Vertex, 'inputs'>,
  nodeOf: (input: Digest) => KeyedNode | undefined,
  dialect: Dialect,
): KeyedStep | undefined {
  const inputAt = (index: number): KeyedNode | undefined => {
    const input = vertex.inputs[index]
    return input === undefined ? undefined : nodeOf(input)
  }
  const base = op.rootfs === undefined ? undefined : inputAt(op.rootfs)
  if (op.owners !== undefined || (op.rootfs !== undefined && base === undefined)) return undefined
  const actions: Action[] = []
  for (const action of op.actions) {
    const made = actionsOf(action, inputAt, dialect)
    if (made === undefined) return undefined
    actions.push(...made)
  }
  return actions.length === 0 ? undefined : keyed(base, actions, dialect)
}

function keyed(base: KeyedNode | undefined, actions: readonly Action[], dialect: Dialect): KeyedStep {
  const nodes: KeyedNode[] = base === undefined ? [] : [base]
  const indexOf = (node: KeyedNode): number => {
    const known = nodes.findIndex((each) => sameNode(each, node))
    return known >= 0 ? known : nodes.push(node) - 1
  }
  const sources = actions.map(({ from }) => (from === undefined ? -1 : indexOf(from.node)))
  const baseIndex = base === undefined ? -1 : 0
  const indexes = actions.map((_, place) => [
    place === 0 ? baseIndex : nodes.length + place - 1,
    sources[place] ?? -1,
    place === actions.length - 1 ? 0 : -1,
  ])
  const digest = stepKey({
    Type: 'buildkit.file.v0',
    Actions: actions.map(({ value }) => Buffer.from(goJson(value(baseIndex))).toString('base64')),
    indexes: isDefault(indexes) ? undefined : indexes,
  })
  const inputs = nodes.map((node, index): KeyedInput => {
    const read = actions.flatMap(({ from }, place) =>
      sources[place] === index && from !== undefined ? [from.selector] : [],
    )
    if (index === baseIndex || read.length === 0) return { node, selector: '', content: undefined }
    return { node, selector: selectorOf(read, dialect), content: withoutParts(read) }
  })
  return { digest, inputs }
}

/** Two inputs of BuildKit's are one where they are the same output. */
export function sameNode(a: KeyedNode, b: KeyedNode): boolean {
  if (a.kind === 'vertex' && b.kind === 'vertex') return a.vertex === b.vertex
  if (a.kind === 'root' && b.kind === 'root') return a.digest === b.digest
  return a.kind === 'step' && b.kind === 'step' && a.step.digest === b.step.digest
}

/**
 * What almost every file op has is left out, as it was before it counted at all. The previous action is meant by the number of
 * actions, not of inputs: it is so only where both are the same.
 */
function isDefault(indexes: readonly (readonly number[])[]): boolean {
  return indexes.every(([input, secondary, output], place) => {
    const isLast = place === indexes.length - 1
    return (
      input === (place === 0 ? 0 : indexes.length + place - 1) &&
      (secondary === -1 || secondary === 1) &&
      output === (isLast ? 0 : -1)
    )
  })
}

function actionsOf(
  action: FileAction,
  inputAt: (index: number) => KeyedNode | undefined,
  dialect: Dialect,
): readonly Action[] | undefined {
  switch (action.kind) {
    case 'mkdir':
      return [{ value: (base) => mkdirValue(action, base, dialect) }]
    case 'mkfile': {
      const { name, dest, content, owner, chmod } = action
      const file = inlineFile(name, content, 0o644)
      const from = { node: { kind: 'step', step: file } as const, selector: plainSelector(`/${name}`, false) }
      return [
        { from, value: (base) => copyValue({ src: name, dest, chown: owner, chmod }, {}, base, dialect) },
      ]
    }
    case 'copy': {
      const node = inputAt(action.input)
      if (node === undefined || action.parents || (action.exclude.length > 0 && !dialect.filters))
        return undefined
      return action.sources.map((source) => copyOf(action, source, node, dialect))
    }
  }
}

/** A file that BuildKit makes before it is copied or mounted: of a heredoc. */
export function inlineFile(name: string, content: string, mode: number): KeyedStep {
  const value = {
    path: `/${name}`,
    mode,
    data: filled(Buffer.from(content).toString('base64')),
    timestamp: -1,
  }
  return madeUponNothing(value)
}

/** A directory that BuildKit makes before it is mounted. */
export function inlineDirectory(path: string, mode: number, owner: GoValue): KeyedStep {
  return madeUponNothing({ path, mode, owner, timestamp: -1 })
}

function madeUponNothing(value: GoValue): KeyedStep {
  const action = Buffer.from(goJson(value)).toString('base64')
  return {
    digest: stepKey({ Type: 'buildkit.file.v0', Actions: [action], indexes: [[-1, -1, 0]] }),
    inputs: [],
  }
}

function mkdirValue(action: Extract<FileAction, { kind: 'mkdir' }>, base: number, dialect: Dialect): GoValue {
  return {
    path: action.path,
    mode: filled(action.mode),
    makeParents: true,
    owner: ownerValue(action.owner, base, dialect),
    timestamp: action.mtime === undefined ? -1 : action.mtime * 1e9,
  }
}

function copyOf(action: CopyAction, source: string, node: KeyedNode, dialect: Dialect): Action {
  const path = posix.join('/', source)
  const { dest, chown, chmod, exclude, unpack } = action
  const options = {
    followSymlink: true,
    dirCopyContents: true,
    unpack: filled(unpack),
    wildcards: true,
    exclude,
  }
  const words = { src: posix.basename(path) || '/', dest, chown, chmod }
  return {
    value: (base) => copyValue(words, options, base, dialect),
    from: { node, selector: { path, wildcard: hasWildcards(path), followLinks: true, exclude } },
  }
}

interface CopyWords {
  readonly src: string
  readonly dest: string
  readonly chown: string | undefined
  readonly chmod: string | undefined
}

interface CopyOptions {
  readonly followSymlink?: boolean
  readonly dirCopyContents?: boolean
  readonly unpack?: boolean | undefined
  readonly wildcards?: boolean
  readonly exclude?: readonly string[]
}

/** Members in the order of the message of BuildKit's. */
function copyValue(words: CopyWords, options: CopyOptions, base: number, dialect: Dialect): GoValue {
  const { src, dest, chown, chmod } = words
  const octal = chmod !== undefined && /^[0-7]+$/.test(chmod)
  return {
    src,
    dest,
    owner: ownerValue(chown, base, dialect),
    mode: chmod === undefined ? -1 : octal ? filled(Number.parseInt(chmod, 8)) : undefined,
    followSymlink: options.followSymlink,
    dirCopyContents: options.dirCopyContents,
    attemptUnpackDockerCompatibility: options.unpack,
    createDestPath: true,
    allowWildcard: options.wildcards,
    allowEmptyWildcard: options.wildcards,
    timestamp: -1,
    exclude_patterns: filled(options.exclude),
    modeStr: octal ? undefined : chmod,
  }
}

const plainSelector = (path: string, followLinks: boolean): ContentSelector => ({
  path,
  wildcard: false,
  followLinks,
  exclude: [],
})

function hasWildcards(name: string): boolean {
  return /[*?[]/.test(name.replace(/\\./gs, ''))
}

function selectorOf(read: readonly ContentSelector[], { filters }: Dialect): Digest {
  const paths = read.map(({ path }) => path)
  const kept = filters ? paths : [...new Set(paths)]
  return digestBytes(kept.sort(byBytes).reverse().join('\0'))
}

/** A path below another that is read too adds nothing, and none twice. */
function withoutParts(read: readonly ContentSelector[]): readonly ContentSelector[] {
  const isPlain = ({ wildcard, exclude }: ContentSelector) => !wildcard && exclude.length === 0
  const plain = (followLinks: boolean) =>
    withoutChildren(
      read.filter((each) => isPlain(each) && each.followLinks === followLinks).map(({ path }) => path),
    ).map((path) => plainSelector(path, followLinks))
  const kept = [...plain(false), ...plain(true), ...read.filter((each) => !isPlain(each))]
  return kept.sort((a, b) => byBytes(a.path, b.path))
}

/** Sorted, each once, without those that lie in another. */
export function withoutChildren(paths: readonly string[]): readonly string[] {
  const unique = [...new Set(paths)]
  const isBelow = (path: string) =>
    unique.some((other) => path !== other && path.startsWith(other.endsWith('/') ? other : `${other}/`))
  return unique.length === 1 ? unique : unique.filter((path) => !isBelow(path)).sort(byBytes)
}

/** Go compares texts by their bytes. */
export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
