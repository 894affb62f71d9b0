import { encodePayload, type StepPayload, type StepRecord, stepPayloadType } from '@tsbuild/cache-protocol'
import { type Digest, digestBytes, parseDiffId } from '@tsbuild/digest'
import { memoryStore } from '@tsbuild/object-store/testing'
import { parseScope, repositoryOfScope, type Scope, signingKeyOf } from '@tsbuild/trust'
import { openRecordService, type RecordService, type RecordServiceOptions } from '../index.ts'

/** Scopes for tests. */
export const scopes = {
  main: parseScope('acme/app:ref/main'),
  pr: parseScope('acme/app:pr/7'),
  other: parseScope('other/app:ref/main'),
}

/** The key of the servers of tests. */
export const serverKey = signingKeyOf(Buffer.alloc(32, 1))

/** A step for tests, named by a text. */
export interface Step {
  readonly name: string
  readonly scope?: Scope
  /** What it made. Default: what the name says. */
  readonly made?: string
  /** In the place of a key of the name's. */
  readonly key?: Digest
  readonly createdAt?: number
  readonly subject?: string
}

/** The payload of a step. */
export function stepOf({
  name,
  scope = scopes.main,
  made = name,
  key,
  createdAt,
  subject = '',
}: Step): StepPayload {
  const own = key ?? digestBytes(`key of ${name}`)
  return {
    v: 1,
    key: own,
    scope,
    result: {
      keys: [own],
      outputKey: digestBytes(`output ${made}`),
      name: `[1/2] RUN ${name}`,
      layer: [
        {
          mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
          digest: digestBytes(`blob ${made}`),
          size: 1000,
          diffId: parseDiffId(digestBytes(`tar ${made}`)),
          form: { format: 'gzip', level: 6, clampMtime: null },
        },
      ],
      createdAt: createdAt ?? 1_750_000_000_000,
      durationMs: 1000,
    },
    identity: { build: digestBytes('build'), stage: undefined, platform: 'linux/amd64' },
    inputs: [],
    producer: { subject, builder: 'tsbuild/0.1.0', run: undefined },
  }
}

/** The record of a step, signed by nobody. */
export function recordOf(step: Step | StepPayload): StepRecord {
  const payload = 'v' in step ? step : stepOf(step)
  const written = Buffer.from(encodePayload(payload)).toString('base64')
  return { envelope: { payloadType: stepPayloadType, payload: written, signatures: [] } }
}

/** Blobs of repositories. */
export interface BlobWorld {
  readonly has: (repository: string, digest: Digest) => Promise<boolean>
  /** How often {@link has} was asked. */
  readonly asked: () => number
  add(scope: Scope, ...made: readonly string[]): void
  remove(scope: Scope, made: string): void
}

/** Repositories without blobs; with `everything` they have all that there can be. */
export function blobWorld(everything = false): BlobWorld {
  const blobs = new Set<string>()
  const nameOf = (scope: Scope, made: string) => `${repositoryOfScope(scope)} ${digestBytes(`blob ${made}`)}`
  let asked = 0
  return {
    has: async (repository, digest) => {
      asked++
      return everything || blobs.has(`${repository} ${digest}`)
    },
    asked: () => asked,
    add: (scope, ...made) => {
      for (const each of made) blobs.add(nameOf(scope, each))
    },
    remove: (scope, made) => void blobs.delete(nameOf(scope, made)),
  }
}

/** A service for tests: in memory, with all blobs, unless options say otherwise. */
export async function openService(options: Partial<RecordServiceOptions> = {}): Promise<RecordService> {
  const { now = () => 1_750_000_000_000 } = options
  const store = options.store ?? memoryStore({ now })
  return await openRecordService({ hasBlob: blobWorld(true).has, key: serverKey, ...options, store, now })
}
