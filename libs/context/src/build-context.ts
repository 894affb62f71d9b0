import { statSync } from 'node:fs'
import { type Digest, parseDigest } from '@tsbuild/digest'
import { type IgnoreRule, parseIgnore } from '@tsbuild/dockerfile'
import { UserError } from '@tsbuild/errors'
import type { Native, Selection, Tree } from '@tsbuild/native'
import type { Store } from '@tsbuild/store'
import { readIgnoreFile } from './dockerfile-text.ts'
import { nearNames } from './near-names.ts'

/** A directory from which files are copied. */
export interface BuildContext {
  /** Absolute. */
  readonly path: string
  /** What the helper needs to read it. */
  readonly tree: Extract<Tree, { kind: 'directory' }>
  /**
   * The digest of what a COPY would read. Calls of one turn of the event loop share one walk.
   * @throws {UserError} `ERR_COPY_SOURCE_NOT_FOUND` naming the ignore rule that hides the source, if one does
   */
  digest(selection: Selection, signal: AbortSignal): Promise<Digest>
  /** Keeps the list of files behind a digest, so that a later miss can be explained. Best effort. */
  keepFileList(selection: Selection, digest: Digest): Promise<void>
}

/** See {@link openDirectoryContext}. */
export interface DirectoryContextOptions {
  /** Absolute. */
  readonly path: string
  /** Absolute path of the Dockerfile, for its own ignore file. */
  readonly dockerfilePath: string
  readonly cwd: string
  readonly native: Native
  readonly store: Store
}

/**
 * Opens a directory as the build context and reads its ignore file. Nothing else of it is read yet.
 *
 * @throws {UserError} `ERR_CONTEXT_NOT_FOUND` if it is no directory; `ERR_IGNORE_SYNTAX`
 */
export async function openDirectoryContext(options: DirectoryContextOptions): Promise<BuildContext> {
  assertDirectory(options.path)
  const ignoreFile = await readIgnoreFile(options.path, options.dockerfilePath, options.cwd)
  const rules = ignoreFile === undefined ? [] : parseIgnore(ignoreFile.text, ignoreFile.shown)
  const tree = {
    kind: 'directory',
    path: options.path,
    ignore: rules.map((rule) => (rule.negated ? `!${rule.pattern}` : rule.pattern)),
    fingerprints: options.store.cacheFile('fingerprints', options.path),
  } as const
  const ignored = { file: ignoreFile?.shown ?? '.dockerignore', rules }
  const batch = createScanBatch(options.native, tree)
  return {
    path: options.path,
    tree,
    async digest(selection, signal) {
      const { digest, missing } = await batch(selection, signal)
      const [first] = missing
      if (first !== undefined)
        throw await sourceNotFound(options.path, first.source, first.ignoredBy, ignored)
      return parseDigest(digest)
    },
    async keepFileList(selection, digest) {
      const { manifests } = await options.native.scan(tree, [selection], { manifests: true })
      const list = manifests.get(digest)
      if (list !== undefined) await options.store.putFileList(digest, list)
    },
  }
}

/** @throws {UserError} `ERR_CONTEXT_NOT_FOUND`, `ERR_CONTEXT_UNREADABLE` */
export function assertDirectory(path: string): void {
  const state = stateOf(path)
  if (state === undefined) return
  throw new UserError('ERR_CONTEXT_NOT_FOUND', `Cannot use the build context "${path}": ${state}`)
}

/** What keeps a path from being a directory, if anything does. */
function stateOf(path: string): string | undefined {
  try {
    return statSync(path).isDirectory() ? undefined : 'it is no directory'
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such directory'
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new UserError('ERR_CONTEXT_UNREADABLE', `Cannot use the build context "${path}": ${reason}`, {
      cause,
    })
  }
}

type Scanned = Awaited<ReturnType<Native['scan']>>['selections'][number]

/** Collects the selections asked for in one turn of the event loop into one walk of the tree. */
function createScanBatch(native: Native, tree: Tree) {
  let pending: { readonly selections: Selection[]; readonly result: Promise<readonly Scanned[]> } | undefined
  return async (selection: Selection, signal: AbortSignal): Promise<Scanned> => {
    if (pending === undefined) {
      const selections: Selection[] = []
      const result = new Promise<void>((resume) => setImmediate(resume)).then(async () => {
        pending = undefined
        return (await native.scan(tree, selections, { signal })).selections
      })
      result.catch(() => {})
      pending = { selections, result }
    }
    const batch = pending
    const index = batch.selections.push(selection) - 1
    const scanned = (await batch.result)[index]
    if (scanned === undefined) throw new RangeError(`the helper did not answer selection ${index}`)
    return scanned
  }
}

async function sourceNotFound(
  root: string,
  source: string,
  ignoredBy: number | null,
  ignored: { readonly file: string; readonly rules: readonly IgnoreRule[] },
): Promise<UserError> {
  const rule = ignoredBy === null ? undefined : ignored.rules[ignoredBy]
  if (rule !== undefined) {
    const pattern = rule.negated ? `!${rule.pattern}` : rule.pattern
    const hint = `${ignored.file}:${rule.line} is \`${pattern}\`; add \`!${source.replace(/^\/+/, '')}\` below it to let the file through.`
    const message = `Cannot copy "${source}": it exists, but ${ignored.file}:${rule.line} hides it`
    return new UserError('ERR_COPY_SOURCE_NOT_FOUND', message, { hints: [hint] })
  }
  const near = await nearNames(root, source)
  const hints = near.length === 0 ? [] : [`Did you mean ${near.map((name) => `\`${name}\``).join(' or ')}?`]
  return new UserError(
    'ERR_COPY_SOURCE_NOT_FOUND',
    `Cannot copy "${source}": it is not in the build context "${root}"`,
    {
      hints,
    },
  )
}
