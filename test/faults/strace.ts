import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** The system calls that make, fill, name, sync, lock, mount and delete. */
export const killSyscalls = [
  ...['write', 'pwrite64', 'writev', 'fsync', 'fdatasync', 'syncfs', 'ftruncate', 'copy_file_range'],
  ...['rename', 'renameat', 'renameat2', 'link', 'linkat', 'unlink', 'unlinkat', 'mkdir', 'mkdirat', 'rmdir'],
  ...['mount', 'move_mount', 'umount2', 'setxattr', 'lsetxattr', 'fsetxattr', 'fcntl'],
]

/** The Nth call of a kind that a thread makes: strace counts each thread's calls on their own. */
export interface SyscallPoint {
  readonly syscall: string
  readonly when: number
}

/** Whether processes can be traced here. */
export function canTrace(): boolean {
  return spawnSync('strace', ['-qq', '-e', 'trace=none', 'true']).status === 0
}

/**
 * The words before a command that log its calls of some kinds, with the paths of descriptors, and may inject a fault.
 * Not with `--seccomp-bpf`, with which strace 6.1 injects no signals.
 *
 * @param inject for example `write:error=EIO:when=3`
 * @param words of the caller: `-b execve` leaves alone what the program starts, `-D` leaves it its parent
 */
export function straceWords(
  log: string,
  syscalls: readonly string[],
  inject: string | undefined,
  words: readonly string[],
): readonly string[] {
  const fault = ['-e', `inject=${inject}`]
  // With `signal=none` it would not say either who was killed.
  const what = ['-e', `trace=${syscalls.join()}`, ...(inject === undefined ? ['-e', 'signal=none'] : fault)]
  return ['/usr/bin/strace', ...words, '-f', '-q', '-y', '-Y', '-s', '64', '-o', log, ...what]
}

/** A call as a log has it. */
export interface LoggedCall extends SyscallPoint {
  readonly program: string
  readonly text: string
}

/** Reads a log, in the order in which the calls began. */
export function readLog(path: string): readonly LoggedCall[] {
  const counts = new Map<string, number>()
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, thread, program = '', syscall, text = ''] = /^(\d+)(?:<(.*?)>)? +(\w+)(\(.*)$/.exec(line) ?? []
      if (thread === undefined || syscall === undefined) return []
      const when = (counts.get(`${thread} ${syscall}`) ?? 0) + 1
      counts.set(`${thread} ${syscall}`, when)
      return [{ program, syscall, when, text }]
    })
}

/** The points that are worth a fault: calls that anybody outside of the process can notice, each number once. */
export function pointsOf(calls: readonly LoggedCall[], program: RegExp = /./): readonly SyscallPoint[] {
  const found = new Map<string, SyscallPoint>()
  for (const { program: name, syscall, when, text } of calls) {
    // The runtime wakes its own threads, and sets flags of descriptors.
    if (text.includes('<anon_inode:[event') || (syscall === 'fcntl' && !/F_(OFD_)?SETLK/.test(text))) continue
    if (program.test(name)) found.set(`${syscall} ${when}`, { syscall, when })
  }
  return [...found.values()]
}
