import type { Git } from './git.ts'

/** How much of a repository may be checked out. */
export interface TreeLimits {
  readonly maxEntries: number
  readonly maxBytes: number
}

/** What is still allowed; a repository and its submodules share one. */
export interface TreeBudget {
  entries: number
  bytes: number
}

/** What a commit holds, as far as checking it out asks for it. */
export interface CommitFacts {
  /** Commits of other repositories, by path. */
  readonly links: ReadonlyMap<string, string>
  /** Whether `.gitmodules` is there and a regular file. */
  readonly hasModules: boolean
}

/** Year 9999: what comes after does not fit everywhere. */
const latestSeconds = 253_402_300_799

/**
 * Lists a commit's whole tree. It also proves that everything is there.
 *
 * @param budget is reduced by what the tree needs
 * @returns undefined if the tree does not fit into the budget
 */
export async function readCommit(
  git: Git,
  commit: string,
  budget: TreeBudget,
): Promise<CommitFacts | undefined> {
  const links = new Map<string, string>()
  let hasModules = false
  const onLine = (line: string) => {
    const [, mode, id = '', size = '', path = ''] = /^(\d+) \w+ ([0-9a-f]+) +(\d+|-)\t(.*)$/s.exec(line) ?? []
    if (mode === '160000') links.set(path, id)
    if (path === '.gitmodules' && mode?.startsWith('100')) hasModules = true
    budget.entries -= 1
    budget.bytes -= size === '-' ? 0 : Number(size)
    if (budget.entries < 0 || budget.bytes < 0) throw new TooMuch()
  }
  const reader = lineReader(onLine)
  try {
    await git({
      args: ['ls-tree', '-r', '-z', '-l', '--full-tree', '--end-of-options', commit],
      onOutput: reader,
    })
  } catch (error) {
    if (error instanceof TooMuch) return undefined
    throw error
  }
  return { links, hasModules }
}

class TooMuch extends Error {}

/** Cuts at NUL bytes. A line is bounded by the length of a path in a tree, which git bounds. */
function lineReader(onLine: (line: string) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk) => {
    let data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    for (let end = data.indexOf(0); end !== -1; end = data.indexOf(0)) {
      onLine(data.toString('utf8', 0, end))
      data = data.subarray(end + 1)
    }
    rest = data
  }
}

/** The commit that an object is, or that a tag stands for, and the committer's time: Unix seconds, 0 if it is none. */
export async function peel(git: Git, object: string): Promise<{ commit: string; timeSeconds: number }> {
  const format = ['--no-walk', '--no-show-signature', '--format=%H %ct']
  const output = await git({ args: ['log', ...format, '--end-of-options', object] })
  const [commit = '', time = ''] = output.trim().split(' ')
  const seconds = Number(time)
  const isTime = Number.isInteger(seconds) && seconds >= 0 && seconds <= latestSeconds
  return { commit, timeSeconds: isTime ? seconds : 0 }
}

/** What `.gitmodules` says of one submodule. */
export interface SubmoduleRow {
  readonly name: string
  readonly path: string | undefined
  readonly url: string | undefined
  readonly update: string | undefined
}

/** Reads `.gitmodules` of a commit. Files that it includes are not read. */
export async function readModules(git: Git, commit: string): Promise<readonly SubmoduleRow[]> {
  const output = await git({
    args: ['config', '--no-includes', `--blob=${commit}:.gitmodules`, '-z', '--list'],
  })
  const rows = new Map<string, { path?: string; url?: string; update?: string }>()
  for (const entry of output.split('\0')) {
    const [, name, key, value] = /^submodule\.(.*)\.(path|url|update)\n(.*)$/s.exec(entry) ?? []
    if (name === undefined || value === undefined) continue
    const row = rows.get(name) ?? {}
    rows.set(name, row)
    if (key === 'path') row.path = value
    if (key === 'url') row.url = value
    if (key === 'update') row.update = value
  }
  return [...rows].map(([name, { path, url, update }]) => ({ name, path, url, update }))
}
