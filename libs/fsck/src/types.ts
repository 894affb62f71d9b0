import type { Native } from '@tsbuild/native'
import type { Store } from '@tsbuild/store'

/** What a finding is about. */
export type FindingKind =
  /** The root, `version`, `oci-layout`, a directory or lock file of the layout. */
  | 'layout'
  | 'image-list'
  | 'image'
  | 'blob'
  | 'snapshot'
  /** The `layer.json` of a snapshot. */
  | 'layer-form'
  | 'record'
  | 'file-list'
  | 'source'
  | 'source-name'
  | 'cache-mount'
  | 'failure'
  | 'build'
  /** What can be made again at any time: below `cache` and `index`. */
  | 'cache-file'
  | 'index'
  /** Left half done by what died. */
  | 'leftover'
  /** Not made by tsbuild. */
  | 'foreign'

/** Something that is not as it should be. */
export interface Finding {
  readonly kind: FindingKind
  /** `notice`: it takes space and harms nothing; a store with nothing worse is sound. */
  readonly severity: 'damage' | 'notice'
  /** Absolute. */
  readonly path: string
  /** What is wrong, as a clause: `it has 12 bytes, and its name is the digest of others`. */
  readonly problem: string
  /** What `--repair` does, in the same form: `is moved to quarantine`. Undefined for what is left alone. */
  readonly repair: string | undefined
  /** What is gone with it: nothing; work, that the next build does again; data, that nobody can make again. */
  readonly loses: 'nothing' | 'work' | 'data'
  /** Undefined without `--repair`, and for what is left alone. */
  readonly outcome?: Outcome | undefined
}

/** `in-use`: a build that runs uses it; another `--repair` after its end mends it. */
export type Outcome = 'repaired' | 'in-use'

/** What was looked at. */
export interface Checked {
  readonly blobs: number
  readonly blobBytes: number
  readonly snapshots: number
  /** Of these and of sources, trees that have no content digest to be compared with: an older version made them. */
  readonly withoutDigest: number
  readonly records: number
  /** Records of another version of tsbuild, which this one never reads. */
  readonly foreignRecords: number
  readonly images: number
}

/** See `verifyStore`. */
export interface VerifyReport {
  /** Whether there is no damage; after a repair, whether all of it was mended. */
  readonly sound: boolean
  readonly findings: readonly Finding[]
  readonly checked: Checked
}

/** What `verifyStore` needs from outside. */
export interface VerifyOptions {
  /** An absolute path. */
  readonly root: string
  readonly repair: boolean
  /** Opens the store; called with `repair` only, once its layout is whole. */
  readonly open: () => Promise<Store>
  readonly native: Pick<Native, 'content' | 'diff'>
  /** Unix ms. */
  readonly now: () => number
  /** Of who runs this. */
  readonly uid: number
  readonly signal: AbortSignal
  /** Called with each finding as soon as it is complete. */
  readonly onFinding?: ((finding: Finding) => void) | undefined
}
