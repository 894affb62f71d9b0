import { isDigest } from '@tsbuild/digest'
import {
  type JsonNode,
  member,
  optional,
  parseJsonObject,
  readSize,
  readString,
  readTextMap,
  wrongType,
} from './json-document.ts'
import type { Descriptor, Platform } from './types.ts'

/** What may stand in an image's platform: it ends up in paths and in error texts. */
const platformPart = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/

/**
 * Reads a descriptor. `urls` and `data` are dropped: no layer is fetched from another place than its registry.
 *
 * @throws {UserError} `ERR_MANIFEST_INVALID`
 */
export function readDescriptor(node: JsonNode): Descriptor {
  const digest = member(node, 'digest')
  if (typeof digest.value !== 'string' || !isDigest(digest.value)) {
    throw wrongType(digest, 'sha256: and 64 lowercase hex digits')
  }
  return {
    mediaType: readString(member(node, 'mediaType')),
    digest: digest.value,
    size: readSize(member(node, 'size')),
    annotations: optional(member(node, 'annotations'), readTextMap),
    platform: optional(member(node, 'platform'), readPlatform),
    artifactType: optional(nonEmpty(member(node, 'artifactType')), readString),
  }
}

/** Reads a descriptor that stands alone, as in a file. @throws {UserError} `ERR_MANIFEST_INVALID` */
export function descriptorFromJson(bytes: Uint8Array): Descriptor {
  return readDescriptor(parseJsonObject(bytes, 'descriptor'))
}

/** Reads the platform members of an index entry or of an image config. @throws {UserError} `ERR_MANIFEST_INVALID` */
export function readPlatform(node: JsonNode): Platform {
  const part = (name: string) => readPlatformPart(member(node, name))
  return {
    os: part('os'),
    architecture: part('architecture'),
    variant: optional(nonEmpty(member(node, 'variant')), readPlatformPart),
    osVersion: optional(nonEmpty(member(node, 'os.version')), readPlatformPart),
  }
}

/** The wire form, members in the order of Go's struct so that other tools' output can be compared. */
export function descriptorToJson(descriptor: Descriptor): object {
  const { platform, annotations } = descriptor
  return {
    mediaType: descriptor.mediaType,
    digest: descriptor.digest,
    size: descriptor.size,
    annotations: annotations === undefined ? undefined : sortedMap(annotations),
    platform: platform === undefined ? undefined : platformToJson(platform),
    artifactType: descriptor.artifactType,
  }
}

/** The wire form of a platform. */
function platformToJson(platform: Platform): object {
  return {
    architecture: platform.architecture,
    os: platform.os,
    'os.version': platform.osVersion,
    variant: platform.variant,
  }
}

/** A copy with its members in order of their names; undefined where there are none. */
export function sortedMap(
  map: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> | undefined {
  const names = Object.keys(map).sort()
  return names.length === 0 ? undefined : Object.fromEntries(names.map((name) => [name, map[name] ?? '']))
}

function readPlatformPart(node: JsonNode): string {
  const text = readString(node)
  if (!platformPart.test(text)) throw wrongType(node, 'letters, digits, "_", "." and "-"')
  return text
}

/** An empty text counts as missing: Go writes members without `omitempty` so. */
export function nonEmpty(node: JsonNode): JsonNode {
  return node.value === '' ? { ...node, value: undefined } : node
}
