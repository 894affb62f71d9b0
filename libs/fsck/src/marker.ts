import { type Digest, isDigest } from '@tsbuild/digest'
import { count, isRecord, objectOf, optional } from '@tsbuild/shape'
import { type Looked, sealedJson } from './look.ts'

/** What the marker of a snapshot or a source says. */
export interface Marker {
  /** The content digest of its tree, where that is known. */
  readonly content: Digest | undefined
}

const isDigestText = (value: unknown) => typeof value === 'string' && isDigest(value)
const isMarker = objectOf({ createdMs: count, content: optional(isDigestText) })

/** Reads a marker. @param id what it is the marker of @returns undefined for a damaged one */
export function readMarker(looked: Looked, id: string): Marker | undefined {
  const value = sealedJson(looked, id)
  if (!isMarker(value) || !isRecord(value)) return undefined
  const { content } = value
  return { content: typeof content === 'string' && isDigest(content) ? content : undefined }
}
