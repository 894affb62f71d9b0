import { type Digest, parseDigest } from '@tsbuild/digest'
import type { IgnoreRule } from '@tsbuild/dockerfile'
import { UserError } from '@tsbuild/errors'
import type { Native, Selection, Tree } from '@tsbuild/native'
import type { Store } from '@tsbuild/store'
import { nearNames } from './near-names.ts'
import { createScanBatch, type Scanned } from './scan-batch.ts'

/** Files that a build copies from: a directory of the machine, or what was given or fetched in its place. */
export interface BuildContext {
  /** As it stands in messages: `the build context "/src"`. */
  readonly shown: string
  /** What the helper needs to read it. */
  readonly tree: Tree
  /**
   * The digest of what a COPY would read. Calls of one turn of the event loop share one walk.
   * @throws {UserError} `ERR_COPY_SOURCE_NOT_FOUND` naming the ignore rule that hides the source, if one does
   */
  digest(selection: Selection, signal: AbortSignal): Promise<Digest>
  /** Keeps the list of files behind a digest that `digest` gave, so that a later miss can be explained. */
  keepFileList(selection: Selection, digest: Digest): Promise<void>
  /** The ignore rule that hides a path, as `.dockerignore:3`; undefined if none does. */
  hiddenBy(path: string, signal: AbortSignal): Promise<string | undefined>
  /** When its files were made, in Unix seconds; undefined where that is not known, as of a directory. */
  sourceDate(): Promise<number | undefined>
}

/** What every context needs from outside. */
export interface ContextHost {
  readonly native: Native
  readonly store: Pick<Store, 'putFileList'>
}

/** The rules that hide files of a context. */
export interface IgnoreFile {
  /** As shown to the user. */
  readonly shown: string
  readonly rules: readonly IgnoreRule[]
}

/** See {@link createContext}. */
export interface ContextParts {
  readonly shown: string
  readonly tree: Tree
  /** The rules that `tree` was made with. */
  readonly ignoreFile?: IgnoreFile | undefined
  /** What to say where a source is missing. */
  readonly hints?: readonly string[] | undefined
  readonly sourceDate?: (() => Promise<number | undefined>) | undefined
}

/** Makes a context of a tree. */
export function createContext(parts: ContextParts, { native, store }: ContextHost): BuildContext {
  const { shown, tree, ignoreFile } = parts
  // Without fingerprints every byte would be read once more for a list: it is taken with the first walk.
  const isCheap = tree.kind === 'directory' && tree.fingerprints !== null
  const lists = new Map<string, Uint8Array>()
  const keep = (found: ReadonlyMap<string, Uint8Array>) => {
    for (const [digest, list] of found) lists.set(digest, list)
  }
  const batch = createScanBatch(native, tree, isCheap ? undefined : keep)
  return {
    shown,
    tree,
    async digest(selection, signal) {
      const { digest, missing } = await batch(selection, signal)
      const [first] = missing
      if (first !== undefined) throw await sourceNotFound(parts, first)
      return parseDigest(digest)
    },
    async keepFileList(selection, digest) {
      const found = isCheap ? (await native.scan(tree, [selection], { manifests: true })).manifests : lists
      const list = found.get(digest)
      if (list !== undefined) await store.putFileList(digest, list)
    },
    async hiddenBy(path, signal) {
      if (ignoreFile === undefined || ignoreFile.rules.length === 0) return undefined
      const look = async (exclude: readonly string[]) =>
        ruleOf(
          ignoreFile,
          (await batch({ sources: [path], exclude, parents: false, uncounted: [] }, signal)).missing[0],
        )
      // All of it is excluded, so that nothing of what is not hidden is read.
      const found = await look(['**'])
      if (found === undefined) return undefined
      // A directory may be hidden and something in it let through again.
      const rule = ignoreFile.rules.some(({ negated }) => negated) ? await look([]) : found
      return rule === undefined ? undefined : `${ignoreFile.shown}:${rule.line}`
    },
    sourceDate: parts.sourceDate ?? (async () => undefined),
  }
}

function ruleOf({ rules }: IgnoreFile, missing: Scanned['missing'][number] | undefined) {
  const index = missing?.ignoredBy ?? null
  return index === null ? undefined : rules[index]
}

async function sourceNotFound(
  { shown, tree, ignoreFile, hints = [] }: ContextParts,
  missing: Scanned['missing'][number],
): Promise<UserError> {
  const { source } = missing
  const rule = ignoreFile === undefined ? undefined : ruleOf(ignoreFile, missing)
  if (ignoreFile !== undefined && rule !== undefined) {
    const place = `${ignoreFile.shown}:${rule.line}`
    const pattern = rule.negated ? `!${rule.pattern}` : rule.pattern
    const hint = `${place} is \`${pattern}\`; add \`!${source.replace(/^\/+/, '')}\` below it to let the file through.`
    const message = `Cannot copy "${source}": it exists, but ${place} hides it`
    return new UserError('ERR_COPY_SOURCE_NOT_FOUND', message, { hints: [hint] })
  }
  const near = tree.kind === 'directory' ? await nearNames(tree.path, source) : []
  const meant = near.length === 0 ? [] : [`Did you mean ${near.map((name) => `\`${name}\``).join(' or ')}?`]
  const message = `Cannot copy "${source}": it is not in ${shown}`
  return new UserError('ERR_COPY_SOURCE_NOT_FOUND', message, { hints: [...meant, ...hints] })
}
