import { isDeepStrictEqual } from 'node:util'
import { withoutEmpty } from '../support/describe-image.ts'
import { describeEntry } from '../support/entry.ts'
import type { Image } from '../support/read-image.ts'

/** What is compared of an image: JSON, so that a peer's result can be kept between runs. */
export interface Facts {
  /** Path → notation of a file. Times are not compared: most are those of the build. */
  readonly tree: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly config: Readonly<Record<string, unknown>>
  readonly author: string | undefined
}

/** What came of a case. */
export type Outcome = { readonly facts: Facts } | { readonly failure: string }

/** Content of more bytes than this is shown by its digest. */
const longestText = 200

/** The facts of an image. */
export function factsOf(image: Image): Facts {
  const tree = [...image.tree]
    .filter(([path]) => path !== '')
    .map(([path, entry]) => [path, describeEntry(entry, false, entry.content.length > longestText)] as const)
  return {
    tree: Object.fromEntries(tree),
    config: withoutEmpty(image.config.config ?? {}),
    author: image.config.author || undefined,
  }
}

/** Every difference between our result and a peer's, one line each, sorted. */
export function differences(ours: Facts, peer: Outcome): readonly string[] {
  if ('failure' in peer) return [`fails: ${peer.failure}`]
  const { tree, config, author } = peer.facts
  return [
    ...compareMembers('config', ours.config, config),
    ...(ours.author === author ? [] : [`author: ${show(ours.author)} / ${show(author)}`]),
    ...compareTrees(ours.tree, tree),
  ]
}

function compareTrees(ours: Facts['tree'], theirs: Facts['tree']): readonly string[] {
  return union(ours, theirs).flatMap((path) => {
    const [a, b] = [ours[path], theirs[path]]
    if (a === undefined) return [`/${path}: only theirs: ${show(b)}`]
    if (b === undefined) return [`/${path}: only ours: ${show(a)}`]
    return compareMembers(`/${path}`, a, b)
  })
}

type Members = Readonly<Record<string, unknown>>

function compareMembers(what: string, ours: Members, theirs: Members): readonly string[] {
  return union(ours, theirs).flatMap((key) =>
    isDeepStrictEqual(ours[key], theirs[key])
      ? []
      : [`${what}: ${key} ${show(ours[key])} / ${show(theirs[key])}`],
  )
}

function union(a: object, b: object): readonly string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].toSorted()
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? 'none'
}
