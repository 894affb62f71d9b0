import { readFileSync, statSync } from 'node:fs'

/**
 * The offsets of a lock file's bytes that anybody on this machine holds, read from the kernel's list. Asking with a lock of one's own would
 * look like a deletion to whoever wants the byte at that moment. Where the list cannot be read nothing is held; files of other file systems
 * with the same inode number count too. For information: who deletes takes the lock.
 *
 * @see https://man7.org/linux/man-pages/man5/proc_locks.5.html
 */
export function heldOffsets(path: string): ReadonlySet<number> {
  const stat = statSync(path, { throwIfNoEntry: false })
  const held = new Set<number>()
  if (stat === undefined) return held
  for (const line of readLocks().split('\n')) {
    // `7: OFDLCK ADVISORY  READ -1 fe:01:131093 4503599627370495 4503599627370495`
    const [, inode, first] = /^\d+: OFDLCK .* [0-9a-f]+:[0-9a-f]+:(\d+) (\d+) \S+$/.exec(line) ?? []
    if (Number(inode) === stat.ino) held.add(Number(first))
  }
  return held
}

function readLocks(): string {
  try {
    return readFileSync('/proc/locks', 'utf8')
  } catch {
    return ''
  }
}
