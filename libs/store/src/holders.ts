import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { count, objectOf, parseJson, text } from '@tsbuild/shape'
import { readSmallFile, removeFile } from './disk.ts'
import { type Layout, shortHash } from './layout.ts'
import type { Session } from './session.ts'
import type { LockHolder } from './types.ts'

/**
 * Who holds a lock, for those who wait for it: a file `holds-<hash>` in the holder's session directory, which goes with the
 * session. The kernel's lock is the truth; this is only what is said of it, so nothing here fails a build.
 */
export class Holders {
  readonly #layout: Layout
  readonly #session: Session

  constructor(layout: Layout, session: Session) {
    this.#layout = layout
    this.#session = session
  }

  /** Says that this process holds a lock. @returns what takes it back */
  note(name: string, label: string): () => void {
    try {
      const path = this.#session.file(fileOf(name))
      const { startedAt } = processState(process.pid) ?? {}
      const written: Note = { pid: process.pid, startedAt: startedAt ?? '', label }
      writeFileSync(path, JSON.stringify(written), { mode: 0o600 })
      return () => {
        try {
          removeFile(path)
        } catch {
          // It goes with the session.
        }
      }
    } catch {
      return () => {}
    }
  }

  /** Who says that it holds a lock; undefined where nobody does, or only who is dead. */
  find(name: string): LockHolder | undefined {
    try {
      for (const session of readdirSync(this.#layout.ingest)) {
        const written = noteOf(readSmallFile(join(this.#layout.ingest, session, fileOf(name))))
        if (written === undefined) continue
        const state = processState(written.pid)
        // A number that another process has by now, or that is of another namespace, says nothing.
        if (state === undefined || state.startedAt !== written.startedAt) continue
        return { pid: written.pid, label: written.label, stopped: state.stopped }
      }
    } catch {
      // Nobody is named then.
    }
    return undefined
  }
}

interface Note {
  readonly pid: number
  /** In clock ticks after the boot: with the number it names one process. */
  readonly startedAt: string
  readonly label: string
}

const hasForm = objectOf({ pid: count, startedAt: text, label: text })

function noteOf(bytes: Buffer | undefined): Note | undefined {
  const value = bytes === undefined ? undefined : parseJson(bytes.toString())
  return hasForm(value) ? (value as Note) : undefined
}

const fileOf = (name: string) => `holds-${shortHash(name)}`

/** @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function processState(pid: number): { readonly startedAt: string; readonly stopped: boolean } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name of the program may hold blanks and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state, startedAt] = [fields[0], fields[19]]
    return startedAt === undefined ? undefined : { startedAt, stopped: state === 'T' || state === 't' }
  } catch {
    return undefined
  }
}
