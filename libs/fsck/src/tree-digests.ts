import { lstatSync } from 'node:fs'
import type { Digest } from '@tsbuild/digest'
import { isErrno, kindOf } from './look.ts'
import type { Scan } from './scan.ts'

/** Trees that one helper process looks at. */
const perCall = 16

/** A tree, and the content digest that it had when it was committed, where that is known. */
export interface KnownTree {
  readonly path: string
  readonly content: Digest | undefined
}

/** Compares trees with their digests. @returns what is wrong with each, by path */
export async function treeProblems(
  scan: Scan,
  trees: readonly KnownTree[],
): Promise<ReadonlyMap<string, string>> {
  const problems = new Map<string, string>()
  const known: KnownTree[] = []
  for (const tree of trees) {
    const stats = lstatSync(tree.path, { throwIfNoEntry: false })
    if (stats === undefined) problems.set(tree.path, 'its files are missing')
    else if (!stats.isDirectory()) problems.set(tree.path, `its tree is ${kindOf(stats)}`)
    else if (tree.content === undefined) scan.checked.withoutDigest++
    else known.push(tree)
  }
  for (let at = 0; at < known.length; at += perCall) {
    scan.signal.throwIfAborted()
    const some = known.slice(at, at + perCall)
    for (const [path, problem] of await compared(scan, some)) problems.set(path, problem)
  }
  return problems
}

/** One that cannot be read at all must not hide what is wrong with the others. */
async function compared(
  scan: Scan,
  trees: readonly KnownTree[],
): Promise<readonly (readonly [string, string])[]> {
  const { native, signal } = scan
  try {
    const digests = await native.content(
      trees.map(({ path }) => path),
      { signal },
    )
    return trees.flatMap(({ path, content }, index) =>
      digests[index] === content ? [] : [[path, 'its files are not those that were committed'] as const],
    )
  } catch (error) {
    if (signal.aborted) throw error
    const [only] = trees
    if (trees.length > 1 || only === undefined) {
      const each = await Promise.all(trees.map((tree) => compared(scan, [tree])))
      return each.flat()
    }
    if (isErrno(error, 'ENOENT')) return [[only.path, 'its files are missing']]
    return [
      [only.path, `its files cannot be read: ${error instanceof Error ? error.message : String(error)}`],
    ]
  }
}
