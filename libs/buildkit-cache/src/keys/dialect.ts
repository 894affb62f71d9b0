/**
 * What BuildKit puts into its keys, as far as its versions differ in it. A step may have another key in each: all are looked for,
 * and written are those of {@link writtenDialects}. @see docs/dev/buildkit-cache.md
 */
export interface Dialect {
  /** The versions of BuildKit, as shown: `0.17`. */
  readonly name: string
  /** An exec says that it removes what its mounts leave behind, from 0.11 on. */
  readonly mountStubs: boolean
  /** An input of an exec that is read from its root has the selector of `/`, from 0.13 on, and none before. */
  readonly rootSelector: boolean
  /** A cache mount counts without its id, but for the id that a Dockerfile gives it; from 0.13 on. */
  readonly clearsCacheIds: boolean
  /** Inputs of a mount by content: only what is safe, from 0.13 on. */
  readonly safeContent: boolean
  /** Indexes of inputs that are 0 are written, before 0.17. */
  readonly writesZeroIndexes: boolean
  /** A secret has no input, from 0.17 on; before, it says that it has the first. */
  readonly secretsWithoutInput: boolean
  /** What the number of an owner is called. */
  readonly idMember: 'byID' | 'byId'
  /** A tmpfs says how large it may be, from 0.10 on. */
  readonly tmpfsOptions: boolean
  /** A copy with a wildcard counts by the files that match and their paths, from 0.9 on; before, by their names. */
  readonly filters: boolean
}

/** Docker's, from 20.10 on. */
const v08: Dialect = {
  name: '0.8',
  mountStubs: false,
  rootSelector: false,
  clearsCacheIds: false,
  safeContent: false,
  writesZeroIndexes: true,
  secretsWithoutInput: false,
  idMember: 'byID',
  tmpfsOptions: false,
  filters: false,
}
const v10: Dialect = { ...v08, name: '0.10', tmpfsOptions: true, filters: true }
const v11: Dialect = { ...v10, name: '0.11', mountStubs: true }
const v13: Dialect = {
  ...v11,
  name: '0.13',
  rootSelector: true,
  clearsCacheIds: true,
  safeContent: true,
  idMember: 'byId',
}
const v17: Dialect = { ...v13, name: '0.17', writesZeroIndexes: false, secretsWithoutInput: true }

/** The newest first. A version has the keys of the last one that is not above it. */
export const dialects: readonly Dialect[] = [v17, v13, v11, v10, v08]

/** Those that an export is readable for: today's, and that of the Docker that distributions have. */
export const writtenDialects: readonly Dialect[] = [v17, v08]
