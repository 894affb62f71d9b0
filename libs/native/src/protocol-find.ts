import type { Tree } from './protocol.ts'

/** Lists files by their names and sections of executables; symlinks are not followed. */
export interface FindRequest {
  readonly op: 'find'
  readonly tree: Tree
  /** Of paths from its root, as in a `.dockerignore`. */
  readonly patterns: readonly string[]
  /** Names of sections of ELF files that are executable; empty looks into no file. */
  readonly sections: readonly string[]
  readonly maxFiles: number
  /** Of all sections together. */
  readonly maxSectionBytes: number
}

/** What `find` found. */
export interface FindOutcome {
  readonly op: 'find'
  /** In the order of their names, directory by directory; paths from the root. */
  readonly files: readonly { readonly path: string; readonly size: number }[]
  /** `data` is base64. */
  readonly sections: readonly { readonly path: string; readonly name: string; readonly data: string }[]
  /** There was more than the limits allow, or something that cannot be read. */
  readonly incomplete: boolean
}
