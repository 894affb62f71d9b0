import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What a path holds: text, or one of the other kinds. */
export type RepositoryEntry =
  | string
  | Buffer
  | { readonly executable: string }
  | { readonly symlink: string }
  | { readonly submodule: string }

/** How a commit is made. */
export interface CommitOptions {
  /** Default `refs/heads/main`. */
  readonly ref?: string
  /** Of the committer, Unix seconds. Default 1,600,000,000. */
  readonly time?: number
}

/** A bare repository made for a test. */
export interface TestRepository {
  readonly path: string
  /** Makes the next commit of a ref, with exactly these files, and gives its id. */
  commit(files: Readonly<Record<string, RepositoryEntry>>, options?: CommitOptions): string
  /** Runs git in it and gives what it says, trimmed. */
  git(...args: readonly string[]): string
}

const env = {
  PATH: process.env.PATH,
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'A',
  GIT_AUTHOR_EMAIL: 'a@example.org',
  GIT_COMMITTER_NAME: 'A',
  GIT_COMMITTER_EMAIL: 'a@example.org',
  GIT_COMMITTER_DATE: '1600000000 +0000',
}

/** Makes `<root>/<name>.git`. */
export function createRepository(
  root: string,
  name: string,
  format: 'sha1' | 'sha256' = 'sha1',
): TestRepository {
  const path = join(root, `${name}.git`)
  mkdirSync(path, { recursive: true })
  const run = (args: readonly string[], input?: Buffer) =>
    execFileSync('git', [...args], {
      cwd: path,
      env,
      ...(input === undefined ? {} : { input }),
      stdio: ['pipe', 'pipe', 'pipe'],
    })
      .toString()
      .trim()
  run(['init', '--quiet', '--bare', `--object-format=${format}`, '--initial-branch=main'])
  return {
    path,
    git: (...args) => run(args),
    commit(files, { ref = 'refs/heads/main', time = 1_600_000_000 } = {}) {
      const parent = existsSync(join(path, ref)) ? readFileSync(join(path, ref), 'latin1').trim() : ''
      const stream = importStream(files, ref, time, parent)
      return run(['fast-import', '--quiet', '--force'], stream)
    },
  }
}

function importStream(
  files: Readonly<Record<string, RepositoryEntry>>,
  ref: string,
  time: number,
  parent: string,
): Buffer {
  const head = `commit ${ref}\nmark :1\ncommitter A <a@example.org> ${time} +0000\ndata 1\nm\n`
  const from = parent === '' ? '' : `from ${parent}\n`
  return Buffer.concat([
    Buffer.from(`${head}${from}deleteall\n`),
    ...Object.entries(files).map(([path, entry]) => importEntry(path, entry)),
    Buffer.from('\nget-mark :1\n'),
  ])
}

function importEntry(path: string, entry: RepositoryEntry): Buffer {
  const quoted = JSON.stringify(path)
  if (typeof entry === 'object' && 'submodule' in entry)
    return Buffer.from(`M 160000 ${entry.submodule} ${quoted}\n`)
  const inline = (mode: string, content: string | Buffer) => {
    const data = Buffer.from(content)
    return Buffer.concat([
      Buffer.from(`M ${mode} inline ${quoted}\ndata ${data.length}\n`),
      data,
      Buffer.from('\n'),
    ])
  }
  if (typeof entry === 'string' || Buffer.isBuffer(entry)) return inline('100644', entry)
  return 'executable' in entry ? inline('100755', entry.executable) : inline('120000', entry.symlink)
}
