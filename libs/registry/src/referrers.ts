import type { Digest } from '@tsbuild/digest'
import { EnvironmentError, InternalError, isBuildError } from '@tsbuild/errors'
import {
  type Descriptor,
  formatReference,
  type ImageReference,
  type Index,
  isIndexType,
  isManifestType,
  maxDocumentBytes,
  mediaTypes,
  parseIndex,
  parseManifestOrIndex,
  serializeIndex,
} from '@tsbuild/oci'
import type { Connection } from './connection.ts'
import { nonsense } from './failures.ts'
import { fetchManifest, pullScope, purposeOf, putBytes } from './manifests.ts'
import { readPages } from './pages.ts'
import type { CallOptions, ReferrersOptions } from './types.ts'

/** Statuses of registries that do not know the address; the tag has their answer. */
const withoutReferrers = new Set([400, 404, 405, 406, 501])
/** How often a list is written again because another client wrote it at the same time. */
const maxRounds = 3

/**
 * Lists what refers to a manifest; see `RegistryClient.referrers`.
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
 */
export async function listReferrers(
  connection: Connection,
  reference: ImageReference,
  options: ReferrersOptions,
): Promise<readonly Descriptor[]> {
  const { digest, repository, registry } = reference
  if (digest === undefined) {
    throw new InternalError(
      'ERR_INTERNAL',
      `Cannot list referrers of ${formatReference(reference)}: it has no digest`,
    )
  }
  const { artifactType } = options
  const purpose = purposeOf('list the referrers of', reference)
  const filter = artifactType === undefined ? '' : `?${new URLSearchParams({ artifactType })}`
  const found = await fromApi(connection, options, {
    registry,
    scopes: [pullScope(repository)],
    target: `/v2/${repository}/referrers/${digest}${filter}`,
    headers: { accept: mediaTypes.ociIndex },
    purpose,
  })
  const all = found ?? (await readFallback(connection, reference, digest, options))?.manifests ?? []
  // Whether the registry has filtered (`OCI-Filters-Applied`) or not: filtering twice changes nothing.
  return artifactType === undefined ? all : all.filter((one) => one.artifactType === artifactType)
}

type ReferrersRequest = Omit<Parameters<typeof readPages>[1], 'refuse'>

/** @returns undefined where the registry does not have the API */
async function fromApi(
  connection: Connection,
  options: CallOptions,
  request: ReferrersRequest,
): Promise<readonly Descriptor[] | undefined> {
  const missing = new WithoutReferrers('ERR_REGISTRY_STATUS', 'The registry does not list referrers')
  const refuse = (status: number) => (withoutReferrers.has(status) ? missing : undefined)
  const found: Descriptor[] = []
  try {
    const pages = { ...request, refuse: (response: { status: number }) => refuse(response.status) }
    for await (const page of readPages(connection, pages, options)) {
      // Some answer any address with a page for people.
      if (!isIndexType(bareType(page.header('content-type')))) throw missing
      found.push(...parseIndex(page.bytes).manifests)
    }
  } catch (error) {
    if (error === missing) return undefined
    throw error
  }
  return found
}

class WithoutReferrers extends EnvironmentError {}

function bareType(header: string | undefined): string {
  return header?.split(';', 1)[0]?.trim() ?? ''
}

/** The tag under which the referrers are listed by registries that do not list them themselves. */
export function fallbackTag(subject: Digest): string {
  return subject.replace(':', '-')
}

/** @returns undefined if there is no such tag */
async function readFallback(
  connection: Connection,
  reference: ImageReference,
  subject: Digest,
  { signal }: CallOptions,
): Promise<Index | undefined> {
  const { registry, repository } = reference
  const tagged = { registry, repository, tag: fallbackTag(subject) }
  try {
    const { bytes } = await fetchManifest(connection, tagged, { signal, accept: [mediaTypes.ociIndex] })
    return parseIndex(bytes)
  } catch (error) {
    if (isBuildError(error) && error.code === 'ERR_IMAGE_NOT_FOUND') return undefined
    throw error
  }
}

/** A manifest that says something about another. */
export interface Referrer {
  readonly subject: Digest
  readonly descriptor: Descriptor
}

/** What a manifest says about another manifest; undefined where it says nothing. */
export function referrerOf(bytes: Uint8Array, mediaType: string, digest: Digest): Referrer | undefined {
  if (!isManifestType(mediaType) && !isIndexType(mediaType)) return undefined
  // Most manifests have none, and these are not parsed a second time.
  if (!Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes('"subject"')) return undefined
  const parsed = parseManifestOrIndex(bytes, mediaType)
  const document = parsed.type === 'index' ? parsed.index : parsed.manifest
  if (document.subject === undefined) return undefined
  const ofConfig = parsed.type === 'manifest' ? parsed.manifest.config.mediaType : undefined
  return {
    subject: document.subject.digest,
    descriptor: {
      mediaType,
      digest,
      size: bytes.byteLength,
      artifactType: document.artifactType ?? ofConfig,
      annotations: document.annotations,
    },
  }
}

/**
 * Adds or takes out one descriptor of the list of referrers, a tag. Another client may write it at the same moment, and the
 * protocol has no lock: the list is read again afterwards, and written again where our change is gone.
 */
export async function changeFallback(
  connection: Connection,
  reference: ImageReference,
  referrer: Referrer,
  change: 'add' | 'remove',
  options: CallOptions,
): Promise<void> {
  const { registry, repository } = reference
  const tagged = { registry, repository, tag: fallbackTag(referrer.subject) }
  const { digest } = referrer.descriptor
  for (let round = 1; ; round++) {
    const list = await readFallback(connection, reference, referrer.subject, options)
    const others = list?.manifests.filter((one) => one.digest !== digest) ?? []
    const isIn = list !== undefined && others.length < list.manifests.length
    if (isIn === (change === 'add')) return
    if (round > maxRounds) {
      throw nonsense(purposeOf('push', tagged), 'other referrers each time: several clients write them')
    }
    const bytes = serializeIndex({
      mediaType: mediaTypes.ociIndex,
      annotations: list?.annotations ?? {},
      manifests: change === 'add' ? [...others, referrer.descriptor] : others,
    })
    if (bytes.byteLength > maxDocumentBytes) {
      throw nonsense(
        purposeOf('push', tagged),
        `a list of referrers that is larger than ${maxDocumentBytes} bytes`,
      )
    }
    await putBytes(connection, tagged, { bytes, mediaType: mediaTypes.ociIndex }, options)
  }
}
