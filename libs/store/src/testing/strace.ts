import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Whether processes can be traced here; where `CI` is set they must be. */
export function canTrace(): boolean {
  const works = spawnSync('strace', ['-qq', '-e', 'trace=none', 'true']).status === 0
  if (!works && process.env.CI !== undefined) throw new Error('strace is needed to test crashes: install it')
  return works
}

/**
 * The words before a command that run it and its children under strace; with `-y` calls on a descriptor show its path.
 * Not with `--seccomp-bpf`, with which strace 6.1 injects no signals.
 */
export function traced(syscalls: readonly string[], log: string, inject?: string): readonly string[] {
  const fault = inject === undefined ? [] : ['-e', `inject=${inject}`]
  const trace = ['-e', `trace=${syscalls.join()}`, '-e', 'signal=none']
  return ['strace', '-f', '-qq', '-y', '-s', '2000', '-o', log, ...trace, ...fault]
}

/** A finished system call. */
export interface TracedCall {
  readonly thread: string
  /** As strace prints it: `rename("/a", "/b") = 0`. */
  readonly text: string
}

/** Reads a log; calls come in the order in which they ended. */
export function readTrace(log: string): readonly TracedCall[] {
  const begun = new Map<string, string>()
  const calls: TracedCall[] = []
  for (const line of readFileSync(log, 'utf8').split('\n')) {
    const [, thread, event] = /^(\d+) +(.*)$/.exec(line) ?? []
    if (thread === undefined || event === undefined) continue
    const unfinished = event.indexOf(' <unfinished ...>')
    const [, rest] = /^<\.\.\. \w+ resumed>(.*)$/.exec(event) ?? []
    if (unfinished >= 0) begun.set(thread, event.slice(0, unfinished))
    else calls.push({ thread, text: rest === undefined ? event : `${begun.get(thread) ?? ''}${rest}` })
  }
  return calls
}
