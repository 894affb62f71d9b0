import { isDigest } from '@tsbuild/digest'
import type { Descriptor, Platform } from '@tsbuild/oci'

/**
 * Reads a descriptor of the store's own files.
 *
 * @returns undefined for a value that is none
 * @see https://github.com/opencontainers/image-spec/blob/main/descriptor.md
 */
export function readDescriptor(value: unknown): Descriptor | undefined {
  if (!isObject(value)) return undefined
  const { mediaType, digest, size, annotations, platform } = value
  if (typeof mediaType !== 'string' || typeof digest !== 'string' || !isDigest(digest)) return undefined
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return undefined
  if (annotations !== undefined && !isTextMap(annotations)) return undefined
  const descriptor = { mediaType, digest, size, ...(annotations === undefined ? {} : { annotations }) }
  if (platform === undefined) return descriptor
  const read = readPlatform(platform)
  return read === undefined ? undefined : { ...descriptor, platform: read }
}

/** The value that stands for a descriptor in a JSON file, with the names of the OCI image specification. */
export function writeDescriptor(descriptor: Descriptor): Readonly<Record<string, unknown>> {
  const { mediaType, digest, size, annotations, platform } = descriptor
  const { osVersion, ...rest } = platform ?? {}
  return {
    mediaType,
    digest,
    size,
    ...(annotations === undefined ? {} : { annotations }),
    ...(platform === undefined ? {} : { platform: { ...rest, 'os.version': osVersion } }),
  }
}

function readPlatform(value: unknown): Platform | undefined {
  if (!isObject(value)) return undefined
  const { os, architecture, variant, 'os.version': osVersion } = value
  if (typeof os !== 'string' || typeof architecture !== 'string') return undefined
  return {
    os,
    architecture,
    ...(typeof variant === 'string' ? { variant } : {}),
    ...(typeof osVersion === 'string' ? { osVersion } : {}),
  }
}

/** Whether a JSON value is an object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isTextMap(value: unknown): value is Readonly<Record<string, string>> {
  return isObject(value) && Object.values(value).every((member) => typeof member === 'string')
}
