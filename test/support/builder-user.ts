import type { TestContext } from 'vitest'
import { needs } from './capabilities.ts'
import { check, command } from './tsbuild.ts'

/** Who builds: every hostile input is tried as both. */
export type UserName = 'root' | 'an ordinary user'

export const userNames: readonly UserName[] = ['root', 'an ordinary user']

/** One of the two, on this machine. */
export interface User {
  readonly name: UserName
  /** Skips the running test where the tests cannot run as this user. */
  readonly needed: (test: TestContext) => void
  /** The command line that runs the command as this user. */
  readonly commandLine: (args: readonly string[]) => readonly [program: string, ...args: string[]]
  /** Gives files to the user, who is not always the one that made them. */
  readonly giveTo: (...paths: readonly string[]) => Promise<void>
}

const isRoot = process.getuid?.() === 0

/** The user of a name: `tsbuild-test` is the ordinary one when the tests run as root, else whoever runs them. */
export function userOf(name: UserName): User {
  const other = name === 'an ordinary user' && isRoot
  const become = other
    ? ['setpriv', '--reuid', 'tsbuild-test', '--regid', 'tsbuild-test', '--init-groups', command]
    : [command]
  return {
    name,
    needed: (test) => {
      if (name === 'root') needs(test, 'root', 'program busybox')
      else
        needs(
          test,
          'program newuidmap',
          'program busybox',
          ...(other ? (['the user tsbuild-test'] as const) : []),
        )
    },
    commandLine: (args) => {
      const [program = command, ...before] = become
      return [program, ...before, ...args]
    },
    giveTo: async (...paths) => {
      if (other) await check('chown', ['-R', '-h', 'tsbuild-test:', ...paths])
    },
  }
}
