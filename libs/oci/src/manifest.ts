import { descriptorToJson, nonEmpty, readDescriptor, sortedMap } from './descriptor.ts'
import {
  hasMember,
  invalidDocument,
  type JsonNode,
  member,
  optional,
  parseJsonObject,
  readInteger,
  readList,
  readString,
  readTextMap,
} from './json-document.ts'
import { isIndexType, isManifestType, mediaTypes } from './media-types.ts'
import type { Index, Manifest } from './types.ts'

/** What {@link parseManifestOrIndex} found. */
export type ManifestOrIndex =
  | { readonly type: 'manifest'; readonly manifest: Manifest }
  | { readonly type: 'index'; readonly index: Index }

const manifestMembers = ['config', 'layers']
const indexMembers = ['manifests']
const schema1Members = ['fsLayers', 'signatures']
const schema1 = /^application\/vnd\.docker\.distribution\.manifest\.v1\+(?:json|prettyjws)$/

/**
 * Parses an image manifest, OCI's or Docker's schema 2.
 *
 * @param mediaTypeHint what the bytes were announced as: a Content-Type or a descriptor's media type
 * @throws {UserError} `ERR_MANIFEST_INVALID` if they are no manifest, or could be read as something else as well
 */
export function parseManifest(bytes: Uint8Array, mediaTypeHint?: string): Manifest {
  const parsed = parseManifestOrIndex(bytes, mediaTypeHint)
  if (parsed.type === 'manifest') return parsed.manifest
  throw invalidDocument('image manifest', 'it is an image index')
}

/** As {@link parseManifest} for an image index, OCI's or Docker's manifest list. @throws {UserError} `ERR_MANIFEST_INVALID` */
export function parseIndex(bytes: Uint8Array, mediaTypeHint?: string): Index {
  const parsed = parseManifestOrIndex(bytes, mediaTypeHint)
  if (parsed.type === 'index') return parsed.index
  throw invalidDocument('image index', 'it is an image manifest')
}

/**
 * Parses whichever of the two the bytes are. A document with the members of both, or whose own media type is another
 * than the announced one, is refused: two tools would read two images out of it.
 *
 * @throws {UserError} `ERR_MANIFEST_INVALID`
 * @see CVE-2021-41190
 */
export function parseManifestOrIndex(bytes: Uint8Array, mediaTypeHint?: string): ManifestOrIndex {
  const document = parseJsonObject(bytes, 'image manifest')
  const written = optional(member(document, 'mediaType'), readString)
  const announced = knownType(mediaTypeHint)
  refuseSchema1(document, written ?? announced)
  if (written !== undefined && announced !== undefined && written !== announced) {
    throw invalidDocument(
      document.what,
      `it is ambiguous: announced as ${announced}, it calls itself ${written}`,
    )
  }
  const type = shapeOf(document)
  const expected = written ?? announced
  const mediaType = expected ?? (type === 'index' ? mediaTypes.ociIndex : mediaTypes.ociManifest)
  if (type === 'index' ? !isIndexType(mediaType) : !isManifestType(mediaType)) {
    throw invalidDocument(
      document.what,
      `it is ambiguous: its media type is ${mediaType}, its members are of an ${type}`,
    )
  }
  return type === 'index'
    ? { type, index: readIndex(document, mediaType) }
    : { type, manifest: readManifest(document, mediaType) }
}

/** The bytes of a manifest: the same value always gives the same bytes. */
export function serializeManifest(manifest: Manifest): Buffer {
  return jsonBytes({
    schemaVersion: 2,
    mediaType: manifest.mediaType,
    artifactType: manifest.artifactType,
    config: descriptorToJson(manifest.config),
    layers: manifest.layers.map(descriptorToJson),
    subject: manifest.subject === undefined ? undefined : descriptorToJson(manifest.subject),
    annotations: sortedMap(manifest.annotations),
  })
}

/** The bytes of an index: the same value always gives the same bytes. */
export function serializeIndex(index: Index): Buffer {
  return jsonBytes({
    schemaVersion: 2,
    mediaType: index.mediaType,
    artifactType: index.artifactType,
    manifests: index.manifests.map(descriptorToJson),
    subject: index.subject === undefined ? undefined : descriptorToJson(index.subject),
    annotations: sortedMap(index.annotations),
  })
}

/** Compact JSON as bytes; members that are undefined are left out. */
export function jsonBytes(value: object): Buffer {
  return Buffer.from(JSON.stringify(value))
}

/** Servers announce manifests as all sorts of things; only a manifest's own types mean something. */
function knownType(hint: string | undefined): string | undefined {
  const bare = hint?.split(';', 1)[0]?.trim().toLowerCase()
  if (bare === undefined) return undefined
  return isManifestType(bare) || isIndexType(bare) || schema1.test(bare) ? bare : undefined
}

function refuseSchema1(document: JsonNode, mediaType: string | undefined): void {
  const version = optional(member(document, 'schemaVersion'), readInteger)
  if (version === 1 || (mediaType !== undefined && schema1.test(mediaType))) {
    throw invalidDocument(
      document.what,
      'it is a Docker schema 1 manifest, a form that ended in 2019; push the image again with a current tool',
    )
  }
  if (version !== 2)
    throw invalidDocument(document.what, `schemaVersion is ${version ?? 'missing'}, expected 2`)
}

function shapeOf(document: JsonNode): 'manifest' | 'index' {
  const present = (names: readonly string[]) => names.filter((name) => hasMember(document, name))
  const ofManifest = present(manifestMembers)
  const ofIndex = present(indexMembers)
  const kinds = [ofManifest, ofIndex, present(schema1Members)].filter((names) => names.length > 0)
  if (kinds.length > 1)
    throw invalidDocument(document.what, `it is ambiguous: it has ${kinds.flat().join(' and ')}`)
  if (ofIndex.length > 0) return 'index'
  if (ofManifest.length > 0) return 'manifest'
  throw invalidDocument(document.what, 'it has neither layers nor manifests')
}

function readManifest(document: JsonNode, mediaType: string): Manifest {
  return {
    mediaType,
    config: readDescriptor(member(document, 'config')),
    layers: readList(member(document, 'layers')).map(readDescriptor),
    annotations: optional(member(document, 'annotations'), readTextMap) ?? {},
    ...readRelation(document),
  }
}

function readIndex(document: JsonNode, mediaType: string): Index {
  return {
    mediaType,
    manifests: readList(member(document, 'manifests')).map(readDescriptor),
    annotations: optional(member(document, 'annotations'), readTextMap) ?? {},
    ...readRelation(document),
  }
}

function readRelation(document: JsonNode): Pick<Manifest, 'artifactType' | 'subject'> {
  return {
    artifactType: optional(nonEmpty(member(document, 'artifactType')), readString),
    subject: optional(member(document, 'subject'), readDescriptor),
  }
}
