import { type Digest, digestBytes, isDigest } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import { type HttpResponse, TransientFailure } from '@tsbuild/http'
import {
  acceptedManifestTypes,
  type Descriptor,
  formatReference,
  type ImageReference,
  isIndexType,
  isManifestType,
  type ManifestOrIndex,
  maxDocumentBytes,
  parseManifestOrIndex,
} from '@tsbuild/oci'
import type { Connection, RegistryRequest } from './connection.ts'
import { networkFailure, nonsense, type Purpose, readBody, readErrorAnswer } from './failures.ts'
import type { PutManifestOptions, ResolvedManifest, ResolveOptions } from './types.ts'

/** Fetches a manifest and verifies it; a digest that does not match is fetched once more. */
export async function fetchManifest(
  connection: Connection,
  reference: ImageReference,
  options: ResolveOptions,
): Promise<ResolvedManifest> {
  const purpose = purposeOf('pull', reference)
  const get = () =>
    connection.retry(purpose, options.signal, async () => {
      const response = await connection.exchange(manifestRequest('GET', reference, purpose, options))
      if (response.status === 200) return readManifest(response, reference, purpose)
      if (response.status === 404) throw await notFound(response, reference)
      throw await connection.failure(response, purpose)
    })
  try {
    return await get()
  } catch (error) {
    if (error instanceof UserError && error.code === 'ERR_DIGEST_MISMATCH') return get()
    throw error
  }
}

/** Asks for a manifest's descriptor alone. */
export async function headManifest(
  connection: Connection,
  reference: ImageReference,
  options: ResolveOptions,
): Promise<Descriptor | 'unknown' | undefined> {
  const purpose = purposeOf('look up', reference)
  return connection.retry(purpose, options.signal, async () => {
    const response = await connection.exchange(manifestRequest('HEAD', reference, purpose, options))
    await response.discard()
    if (response.status === 404) return undefined
    // Some servers know only GET; their answer to it says more than this one.
    if (response.status !== 200) {
      if (response.status === 405 || response.status === 400) return 'unknown'
      throw await connection.failure(response, purpose)
    }
    const mediaType = response.header('content-type')?.split(';', 1)[0]?.trim() ?? ''
    const digest = response.header('docker-content-digest') ?? ''
    const size = Number(response.header('content-length') ?? 'missing')
    const usable =
      isDigest(digest) && Number.isSafeInteger(size) && (isManifestType(mediaType) || isIndexType(mediaType))
    if (!usable) return 'unknown'
    checkDigest(digest, reference.digest, reference)
    return { mediaType, digest, size }
  })
}

/** A manifest that a registry took. */
export interface PutManifest {
  readonly descriptor: Descriptor
  /** The subject among whose referrers the registry itself lists it. */
  readonly subject: string | undefined
}

/** Stores a manifest; idempotent, so tried again like a read. */
export async function putBytes(
  connection: Connection,
  reference: ImageReference,
  manifest: { readonly bytes: Uint8Array; readonly mediaType: string },
  options: PutManifestOptions,
): Promise<PutManifest> {
  const purpose = purposeOf('push', reference)
  const digest = digestBytes(manifest.bytes)
  const put = async (): Promise<PutManifest> => {
    const response = await connection.exchange({
      registry: reference.registry,
      scopes: [pushScope(reference.repository)],
      method: 'PUT',
      target: `/v2/${reference.repository}/manifests/${reference.tag ?? digest}`,
      headers: { 'content-type': manifest.mediaType, ...condition(options) },
      body: manifest.bytes,
      purpose,
      signal: options.signal,
    })
    if (response.status !== 201 && response.status !== 200) throw await connection.failure(response, purpose)
    await response.discard()
    const stored = response.header('docker-content-digest')
    if (stored !== undefined && stored !== digest) throw nonsense(purpose, 'that it stored other bytes')
    const descriptor = { mediaType: manifest.mediaType, digest, size: manifest.bytes.byteLength }
    return { descriptor, subject: response.header('oci-subject') }
  }
  const putOnce = async (): Promise<PutManifest> => {
    try {
      return await put()
    } catch (error) {
      const failure = networkFailure(error, purpose)
      throw failure instanceof TransientFailure ? failure.failure : failure
    }
  }
  return await connection.retry(purpose, options.signal, options.once === true ? putOnce : put)
}

/** A registry's entity tag of a manifest is its digest. */
function condition({ onlyOver }: PutManifestOptions): Readonly<Record<string, string>> {
  if (onlyOver === undefined) return {}
  return onlyOver === 'nothing' ? { 'if-none-match': '*' } : { 'if-match': `"${onlyOver}"` }
}

/** The token scope for reading a repository. */
export function pullScope(repository: string): string {
  return `repository:${repository}:pull`
}

/** The token scope for writing a repository. */
export function pushScope(repository: string): string {
  return `repository:${repository}:pull,push`
}

/** The token scope for deleting from a repository. */
export function deleteScope(repository: string): string {
  return `repository:${repository}:delete,pull`
}

/** What a call is for, in words. */
export function purposeOf(verb: string, reference: ImageReference, blob?: Digest): Purpose {
  const name = formatReference(reference)
  return {
    what: blob === undefined ? `${verb} ${name}` : `${verb} ${blob} of ${name}`,
    host: reference.registry,
  }
}

/** The error for a manifest or blob that is not there. */
export async function notFound(
  response: HttpResponse,
  reference: ImageReference,
  blob?: Digest,
): Promise<UserError> {
  const { codes } = await readErrorAnswer(response, (text) => text)
  const what = blob === undefined ? 'it' : `its blob ${blob}`
  return new UserError(
    'ERR_IMAGE_NOT_FOUND',
    `Cannot pull ${formatReference(reference)}: the registry ${reference.registry} does not have ${what}`,
    { details: { status: response.status, codes } },
  )
}

function manifestRequest(
  method: 'GET' | 'HEAD',
  reference: ImageReference,
  purpose: Purpose,
  options: ResolveOptions,
): RegistryRequest {
  return {
    registry: reference.registry,
    scopes: [pullScope(reference.repository)],
    method,
    target: `/v2/${reference.repository}/manifests/${reference.digest ?? reference.tag ?? 'latest'}`,
    headers: { accept: (options.accept ?? acceptedManifestTypes).join(', ') },
    purpose,
    signal: options.signal,
  }
}

async function readManifest(
  response: HttpResponse,
  reference: ImageReference,
  purpose: Purpose,
): Promise<ResolvedManifest> {
  const bytes = await readBody(response, maxDocumentBytes, purpose)
  const announcedLength = response.header('content-length')
  if (announcedLength !== undefined && Number(announcedLength) !== bytes.length) {
    throw nonsense(purpose, `${bytes.length} bytes after announcing ${announcedLength}`)
  }
  const digest = digestBytes(bytes)
  checkDigest(digest, reference.digest, reference)
  checkDigest(digest, response.header('docker-content-digest'), reference)
  const parsed = parseAnswer(bytes, response.header('content-type'), purpose)
  const { mediaType } = parsed.type === 'index' ? parsed.index : parsed.manifest
  return { descriptor: { mediaType, digest, size: bytes.length }, bytes }
}

/** A proxy's login page is no image that is broken, but a registry that is not there. */
function parseAnswer(bytes: Uint8Array, type: string | undefined, purpose: Purpose): ManifestOrIndex {
  try {
    return parseManifestOrIndex(bytes, type)
  } catch (error) {
    if (type === undefined || /json/i.test(type)) throw error
    throw nonsense(purpose, `"${type}", which is no image manifest`)
  }
}

function checkDigest(actual: Digest, expected: string | undefined, reference: ImageReference): void {
  // Digests of other algorithms than ours say nothing that could be compared.
  if (expected === undefined || expected === actual || !expected.startsWith('sha256:')) return
  throw new UserError(
    'ERR_DIGEST_MISMATCH',
    `Cannot pull ${formatReference(reference)}: the manifest's digest is ${actual}, expected ${expected}`,
  )
}
