import { type CallOptions, call, type HelperTarget } from './call.ts'
import type { Tree } from './protocol.ts'
import type { FindRequest } from './protocol-find.ts'

/** What is looked for. See {@link FindRequest}. */
export type Wanted = Omit<FindRequest, 'op' | 'tree'>

/** What `find` found; untrusted. */
export interface FoundFiles {
  /** Regular files, paths from the root. */
  readonly files: readonly FoundFile[]
  readonly sections: readonly FoundSection[]
  /** There was more than the limits allow, or something that cannot be read. */
  readonly incomplete: boolean
}

/** A file; its size is in bytes. */
export interface FoundFile {
  readonly path: string
  readonly size: number
}

/** A section of an executable. */
export interface FoundSection {
  readonly path: string
  readonly name: string
  readonly data: Buffer
}

/** Looks at every file of a tree once. See `Native.find`. */
export async function find(
  target: HelperTarget,
  tree: Tree,
  wanted: Wanted,
  options: CallOptions,
): Promise<FoundFiles> {
  const { files, sections, incomplete } = await call(target, { op: 'find', tree, ...wanted }, options)
  const decoded = sections.map(({ path, name, data }) => ({ path, name, data: Buffer.from(data, 'base64') }))
  return { files, sections: decoded, incomplete }
}
