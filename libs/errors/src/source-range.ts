/** A piece of a text file. Lines count from 1; columns are UTF-16 code units from 0, the end column is exclusive. */
export interface SourceRange {
  /** The file as the user named it, for example `Dockerfile`. */
  readonly file: string
  readonly startLine: number
  readonly startColumn: number
  readonly endLine: number
  readonly endColumn: number
}
