import { type Digest, digestFromHex, isDigest, verifyingStream } from '@tsbuild/digest'
import { invalidDocument } from './json-document.ts'
import { parseManifest } from './manifest.ts'
import {
  attestationManifestType,
  isManifestType,
  mediaTypes,
  predicateTypeAnnotation,
} from './media-types.ts'
import { type OpenBlob, readDocument } from './read-blob.ts'
import type { Descriptor, Index } from './types.ts'

/** The largest statement that is written and read: BuildKit's limit too. */
export const maxStatementBytes = 40 * 1024 * 1024

/** A statement about an image, as it lies beside it. */
export interface StoredAttestation {
  /** The manifest that it is about, as the index says; undefined where neither index nor manifest say it. */
  readonly image: Digest | undefined
  /** `https://slsa.dev/provenance/v1`; empty where nothing says it. */
  readonly predicateType: string
  /** The in-toto statement. */
  readonly statement: Descriptor
  /** The manifest that lists it. */
  readonly manifest: Descriptor
}

/** An in-toto statement. What it holds is untrusted. */
export interface Statement {
  /** `https://in-toto.io/Statement/v0.1` or `/v1` */
  readonly type: string
  readonly predicateType: string
  readonly subject: readonly {
    readonly name: string
    readonly digest: Readonly<Record<string, string>>
  }[]
  readonly predicate: unknown
}

/**
 * Lists what an index has of attestations, in BuildKit's form and as OCI artifacts. For the answer of a registry about the
 * referrers of a manifest too, which is an index. Statements themselves are not read.
 *
 * @param open opens the bytes of a manifest
 * @throws {UserError} `ERR_MANIFEST_INVALID`, `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`; what `open` throws
 */
export async function readAttestations(index: Index, open: OpenBlob): Promise<readonly StoredAttestation[]> {
  const found: StoredAttestation[] = []
  for (const entry of index.manifests) {
    if (!isManifestType(entry.mediaType) || !holdsStatements(entry)) continue
    const { subject, layers } = parseManifest(await readDocument(open, entry), entry.mediaType)
    const named = entry.annotations?.['vnd.docker.reference.digest']
    const image = subject?.digest ?? (named !== undefined && isDigest(named) ? named : undefined)
    for (const statement of layers) {
      if (statement.mediaType !== mediaTypes.inToto) continue
      const predicateType = statement.annotations?.[predicateTypeAnnotation] ?? ''
      found.push({ image, predicateType, statement, manifest: entry })
    }
  }
  return found
}

function holdsStatements({ annotations, artifactType }: Descriptor): boolean {
  return (
    annotations?.['vnd.docker.reference.type'] === 'attestation-manifest' ||
    artifactType === attestationManifestType
  )
}

/**
 * Reads a statement.
 *
 * @throws {UserError} `ERR_MANIFEST_INVALID` for one of more than 40 MiB or of another form; `ERR_DIGEST_MISMATCH`,
 *   `ERR_SIZE_MISMATCH`; what `open` throws
 */
export async function readStatement({ statement }: StoredAttestation, open: OpenBlob): Promise<Statement> {
  const what = `attestation ${statement.digest}`
  if (statement.size > maxStatementBytes)
    throw invalidDocument(what, `it is larger than ${maxStatementBytes} bytes`)
  const verified = verifyingStream(statement, what)
  const source = await open(statement.digest)
  source.once('error', (error) => verified.destroy(error))
  const chunks: Buffer[] = []
  for await (const chunk of source.pipe(verified)) chunks.push(chunk)
  return parseStatement(Buffer.concat(chunks), what)
}

function parseStatement(bytes: Buffer, what: string): Statement {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    throw invalidDocument(what, 'it is not JSON')
  }
  const { _type: type, predicateType, subject, predicate } = isObject(value) ? value : {}
  if (typeof type !== 'string' || typeof predicateType !== 'string' || !Array.isArray(subject))
    throw invalidDocument(what, 'it is no in-toto statement')
  return { type, predicateType, subject: subject.map((one) => parseSubject(one, what)), predicate }
}

function parseSubject(value: unknown, what: string): Statement['subject'][number] {
  const { name, digest } = isObject(value) ? value : {}
  if (typeof name !== 'string' || !isObject(digest)) throw invalidDocument(what, 'a subject has no digest')
  const entries = Object.entries(digest).map(([algorithm, hex]) => {
    if (typeof hex !== 'string') throw invalidDocument(what, 'a digest of a subject is no text')
    return [algorithm, hex] as const
  })
  return { name, digest: Object.fromEntries(entries) }
}

/** Whether a statement is about a manifest. */
export function isAbout({ subject }: Statement, image: Digest): boolean {
  return subject.some(
    ({ digest: { sha256 } }) =>
      sha256 !== undefined && isDigest(`sha256:${sha256}`) && digestFromHex(sha256) === image,
  )
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
