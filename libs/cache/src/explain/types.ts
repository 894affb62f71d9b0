import type { Digest } from '@tsbuild/digest'
import type { MissReason } from '@tsbuild/events'
import type { CacheRecord } from '@tsbuild/solver'

/** What two executions of a step are compared by. A step that is about to run has no output yet; otherwise it is a record. */
export type Side = Pick<CacheRecord, 'name' | 'op' | 'inputs' | 'inputNames' | 'about'>

/**
 * One thing that makes a step another one than it was. `before` and `after` are as people write them, with null for what was
 * not there; credentials are taken out.
 */
export type Difference =
  /** The program and its arguments; of a text of several lines the first that differs, from 1. */
  | {
      readonly kind: 'command'
      readonly part: 'command' | 'shell' | 'heredoc'
      readonly line: number | null
      readonly before: string
      readonly after: string
    }
  /** Another instruction altogether. */
  | { readonly kind: 'instruction'; readonly before: string; readonly after: string }
  /** A build argument, or a variable of ENV or of the base image. Hidden: its name or value is that of a secret. */
  | {
      readonly kind: 'arg' | 'env'
      readonly name: string
      readonly before: string | null
      readonly after: string | null
      readonly hidden: boolean
    }
  /** USER, WORKDIR, a flag of the step or of the build, the platform. */
  | {
      readonly kind: 'setting'
      readonly name: string
      readonly before: string | null
      readonly after: string | null
    }
  /** An option of a mount; `option` is null where all of it is new or gone. */
  | {
      readonly kind: 'mount'
      readonly type: string
      readonly target: string
      readonly option: string | null
      readonly before: string | null
      readonly after: string | null
    }
  /** The value of a secret that counts. It is not known here, nor is what it was. */
  | { readonly kind: 'secret'; readonly id: string }
  /** What is read of an input. */
  | {
      readonly kind: 'files'
      /** Of the input, as shown to the user. */
      readonly from: string
      readonly before: Digest
      readonly after: Digest
      /** In the order of their paths, the first {@link shownFiles}; null where a list is not kept. */
      readonly changes: readonly FileChange[] | null
      /** How many there are. */
      readonly total: number
    }
  /** The image that it stands on or reads. */
  | {
      readonly kind: 'image'
      readonly role: 'base' | 'source'
      readonly before: ImageName | null
      readonly after: ImageName | null
    }
  /** Another step made something else. */
  | {
      readonly kind: 'step'
      readonly input: number
      /** Of the step, as shown to the user. */
      readonly name: string
      readonly before: Digest
      readonly after: Digest
    }
  /** It stands on, or reads, something of another kind. */
  | { readonly kind: 'input'; readonly before: string | null; readonly after: string | null }
  /** Another version of tsbuild made the record. */
  | { readonly kind: 'version'; readonly before: string; readonly after: string }

/** How many files a {@link Difference} names. */
export const shownFiles = 100

/** One thing about one file. */
export interface FileChange {
  /** In what is read, without a leading slash. */
  readonly path: string
  readonly change: 'added' | 'removed' | 'content' | 'mode' | 'owner' | 'kind' | 'target' | 'attributes'
  /** Of a mode, an owner, a kind or a link's target. */
  readonly before?: string
  readonly after?: string
}

/** An image as a step names it. */
export interface ImageName {
  readonly reference: string
  readonly manifest: string
}

/** Why a step had to run. What is kept of it with the build. */
export interface Explanation {
  readonly reason: MissReason
  /** The nearest earlier record: when it was made, and how long making it took. Null where nothing is to be compared with. */
  readonly earlier: {
    readonly name: string
    readonly createdAt: number
    readonly durationMs: number
  } | null
  readonly differences: readonly Difference[]
  /** The step that all of it comes from, where that is another one. */
  readonly cause: { readonly name: string; readonly reason: MissReason } | null
}
