import { createHash } from 'node:crypto'
import { type Digest, digestBytes, isDigest } from '@tsbuild/digest'
import { isRecord, parseJson } from '@tsbuild/shape'
import { isObjectKey } from '../object-key.ts'
import type { ObjectInfo, ObjectKey } from '../types.ts'

/** An object as a manifest says it: its key, times and version in annotations, its bytes as the only layer. */
export interface StoredObject {
  readonly info: ObjectInfo
  /** Of its bytes; undefined where there are none, which some registries take for no blob. */
  readonly blob: Digest | undefined
}

/** Media type of the manifests. */
export const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const artifactType = 'application/vnd.tsbuild.object.v1+json'
const annotation = 'dev.tsbuild.object.'
const longestTag = 128

/** The config of every manifest. */
export const emptyConfig = Buffer.from('{}')
/** Its descriptor. */
export const emptyDescriptor = {
  mediaType: 'application/vnd.oci.empty.v1+json',
  digest: digestBytes(emptyConfig),
  size: emptyConfig.length,
}

/** Writes the manifest of an object. No two are the same, so that deleting one by its digest is deleting this one. */
export function writeManifest({ info, blob }: StoredObject, nonce: string): Buffer {
  const { key, size, version, modifiedMs } = info
  const layer = { mediaType: 'application/octet-stream', digest: blob, size }
  const value = {
    schemaVersion: 2,
    mediaType: manifestType,
    artifactType,
    config: emptyDescriptor,
    layers: [blob === undefined ? emptyDescriptor : layer],
    annotations: {
      [`${annotation}key`]: key,
      [`${annotation}size`]: String(size),
      [`${annotation}version`]: version,
      [`${annotation}modified`]: String(modifiedMs),
      [`${annotation}nonce`]: nonce,
    },
  }
  return Buffer.from(JSON.stringify(value))
}

/** @returns undefined for what is none of ours */
export function readManifest(bytes: Uint8Array): StoredObject | undefined {
  const value = parseJson(Buffer.from(bytes).toString('utf8'))
  if (!isRecord(value) || value.artifactType !== artifactType || !isRecord(value.annotations))
    return undefined
  const said = value.annotations
  const [key, version] = [said[`${annotation}key`], said[`${annotation}version`]]
  const [size, modifiedMs] = ['size', 'modified'].map((name) => Number(said[`${annotation}${name}`]))
  if (typeof key !== 'string' || !isObjectKey(key) || typeof version !== 'string') return undefined
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(modifiedMs)) return undefined
  const layer: unknown = Array.isArray(value.layers) ? value.layers[0] : undefined
  const blob =
    isRecord(layer) && typeof layer.digest === 'string' && isDigest(layer.digest) ? layer.digest : undefined
  const info = { key, size: size ?? 0, version, modifiedMs: modifiedMs ?? 0 }
  return blob === undefined ? undefined : { info, blob: info.size === 0 ? undefined : blob }
}

/**
 * The tag of a key: `K` and the key, with `Z` for `/`; no key has capitals. Of one that is longer than a tag may be, `H` and its
 * SHA-256: the manifest says which it is.
 */
export function tagOfKey(key: ObjectKey): string {
  const tag = `K${key.replaceAll('/', 'Z')}`
  return tag.length <= longestTag ? tag : `H${createHash('sha256').update(key).digest('hex')}`
}

/** @returns `unknown` where only the manifest says it, undefined for a tag of somebody else */
export function keyOfTag(tag: string): ObjectKey | 'unknown' | undefined {
  if (/^H[0-9a-f]{64}$/.test(tag)) return 'unknown'
  const key = tag.slice(1).replaceAll('Z', '/')
  return isObjectKey(key) && tagOfKey(key) === tag ? key : undefined
}
