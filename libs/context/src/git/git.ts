import type { RemoteAccess } from './credentials.ts'
import { gitEnvironment } from './git-environment.ts'
import { runGit } from './run-git.ts'

/** What one run of git does. */
export interface GitCall {
  readonly args: readonly string[]
  readonly gitDir?: string | undefined
  readonly workTree?: string | undefined
  readonly indexFile?: string | undefined
  /** The remote that it talks to; without it no transport is allowed. */
  readonly access?: RemoteAccess | undefined
  /** It copies from a repository of the store. */
  readonly copies?: boolean | undefined
  readonly onOutput?: ((chunk: Buffer) => void) | undefined
}

/**
 * Runs git and gives its standard output.
 *
 * @throws {GitFailure} if it fails
 * @throws {UserError} `ERR_CANCELLED`
 */
export type Git = (call: GitCall) => Promise<string>

/** What all runs for one source share. */
export interface GitOptions {
  readonly program: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** An empty directory: home and working directory of git. */
  readonly home: string
  readonly signal: AbortSignal
  readonly silenceMs: number
  readonly onReceived?: ((bytes: number) => void) | undefined
}

/** Binds the program and what is the same for all of its runs. */
export function createGit(options: GitOptions): Git {
  const { program, env, home, signal, silenceMs, onReceived } = options
  return ({ args, gitDir, workTree, indexFile, access, copies, onOutput }) => {
    const places = [
      ...(gitDir === undefined ? [] : [`--git-dir=${gitDir}`]),
      ...(workTree === undefined ? [] : [`--work-tree=${workTree}`]),
    ]
    return runGit({
      program,
      args: [...places, ...args],
      cwd: workTree ?? home,
      env: gitEnvironment({
        env,
        home,
        transport: access?.remote.scheme ?? (copies ? 'file' : undefined),
        config: access?.config,
        indexFile,
      }),
      signal,
      silenceMs,
      remote: access !== undefined,
      secrets: access?.secrets ?? [],
      onOutput,
      onReceived,
    })
  }
}
