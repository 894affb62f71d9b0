import type { CacheMountRequest } from '../types.ts'

/** What a child process that uses a store is told to do. */
export type WriterTask =
  /** Puts one blob when a line arrives on stdin. */
  | { readonly do: 'put'; readonly text: string }
  /** Adds one to the number in a file, so many times, each time under the lock. */
  | { readonly do: 'count'; readonly lock: string; readonly file: string; readonly times: number }
  /** Takes a lock, reports `held` and keeps it. */
  | { readonly do: 'hold'; readonly lock: string }
  /** Opens a cache mount, reports its path, and keeps it until a line arrives. */
  | { readonly do: 'mount'; readonly id: string; readonly sharing: CacheMountRequest['sharing'] }
  /** Adds one to the number in a file of a cache mount, so many times, opening it anew each time. */
  | {
      readonly do: 'count-mount'
      readonly sharing: CacheMountRequest['sharing']
      readonly times: number
    }
  /** Begins a draft, a blob, a source and a scratch directory, reports `drafted`, and waits. */
  | { readonly do: 'draft' }
  /** Puts blobs, commits drafts with records and sources, sets a name; reports each when it is durable. */
  | {
      readonly do: 'write'
      readonly steps: number
      readonly killAtSync?: { readonly call: number; readonly after: boolean }
    }
  /** Keeps failures, each in the place of the one before. */
  | { readonly do: 'fail'; readonly times: number }

/** What it says, a line of JSON each. */
export type WriterReport =
  | { readonly type: 'ready' | 'held' | 'drafted' | 'end' }
  | { readonly type: 'mount'; readonly path: string }
  | { readonly type: 'blob'; readonly digest: string }
  | { readonly type: 'snapshot'; readonly id: string; readonly keys: readonly string[] }
  | { readonly type: 'source'; readonly name: string; readonly path: string }
  | { readonly type: 'image'; readonly name: string }
  | { readonly type: 'failure'; readonly ref: string }

/** The text of a record that names a snapshot; long enough that half of it would be noticed. */
export function recordText(snapshot: string): string {
  return JSON.stringify({ snapshot, padding: 'x'.repeat(5_000) })
}

/** What is known of a source, long as {@link recordText}. */
export function sourceText(name: string): string {
  return JSON.stringify({ name, padding: 'x'.repeat(5_000) })
}

/** The bytes of the one file in a source's tree. */
export function sourceData(name: string): string {
  return `data of ${name}`
}

/** The ref of the failure of a step; later ones are greater. */
export function failureRef(step: number): string {
  return String(step).padStart(24, '0')
}

/** What the failure says. */
export function failureText(ref: string): string {
  return JSON.stringify({ ref })
}

/** What its tree has in `data`. */
export function failureData(ref: string): string {
  return `failed in ${ref}`
}
