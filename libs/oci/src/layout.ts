import { UserError } from '@tsbuild/errors'
import { member, parseJsonObject, readString } from './json-document.ts'
import { parseIndex } from './manifest.ts'
import type { Descriptor, Index } from './types.ts'

/** The annotations that name an image of a layout, the more exact one first. */
const nameAnnotations = ['io.containerd.image.name', 'org.opencontainers.image.ref.name']

/**
 * Reads the image list of an OCI layout.
 *
 * @param readFile reads a file of the layout whole, by its path below the layout's root; follows no symbolic link
 * @throws {UserError} `ERR_ARCHIVE_INVALID` if it is no layout of version 1; `ERR_MANIFEST_INVALID` if its index is malformed
 * @see https://github.com/opencontainers/image-spec/blob/main/image-layout.md
 */
export async function readLayoutIndex(readFile: (path: string) => Promise<Uint8Array>): Promise<Index> {
  const marker = parseJsonObject(await readFile('oci-layout'), 'oci-layout')
  const version = readString(member(marker, 'imageLayoutVersion'))
  if (!/^1\.\d+\.\d+$/.test(version)) {
    throw new UserError(
      'ERR_ARCHIVE_INVALID',
      `Cannot read the OCI layout: its version is ${JSON.stringify(version.slice(0, 40))}, expected 1.0.0`,
    )
  }
  return parseIndex(await readFile('index.json'))
}

/**
 * Finds an image of a layout by the digest of its manifest or by one of its names; with neither, the only one there is.
 *
 * @throws {UserError} `ERR_IMAGE_NOT_FOUND` if there is none, or if no name was given and there are several
 */
export function findInLayout(
  index: Index,
  wanted: { readonly name?: string; readonly digest?: string },
): Descriptor {
  const { name, digest } = wanted
  const matches = index.manifests.filter(
    (entry) =>
      (digest === undefined || entry.digest === digest) &&
      (name === undefined || nameAnnotations.some((key) => entry.annotations?.[key] === name)),
  )
  const [first] = matches
  if (first !== undefined && matches.every((entry) => entry.digest === first.digest)) return first
  const names = index.manifests.flatMap((entry) =>
    nameAnnotations.flatMap((key) => entry.annotations?.[key] ?? []),
  )
  throw new UserError(
    'ERR_IMAGE_NOT_FOUND',
    `Cannot find the image ${name ?? digest ?? ''} in the OCI layout: it matches ${matches.length} of ${index.manifests.length} images`,
    { hints: names.length === 0 ? [] : [`Names in this layout: ${[...new Set(names)].join(', ')}.`] },
  )
}
