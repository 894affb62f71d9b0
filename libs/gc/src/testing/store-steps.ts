import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeRecord } from '@tsbuild/cache'
import { type Digest, digestBytes, parseDiffId } from '@tsbuild/digest'
import { type Descriptor, mediaTypes } from '@tsbuild/oci'
import type { CacheRecord, RecordedInput } from '@tsbuild/solver'
import type { SnapshotId, Store } from '@tsbuild/store'

/** A step that a test puts into a store. */
export interface TestStep {
  readonly name: string
  /** Names of steps that it stands upon. */
  readonly below?: readonly string[]
  /** The text of its layer. */
  readonly layer?: string
  readonly inputs?: readonly RecordedInput[]
  readonly bytes?: number
  readonly durationMs?: number
  /** Names of the keys that it is found by; default its own name. */
  readonly keys?: readonly string[]
}

/** What the steps above a step of this name count it as. */
export function outputOf(name: string): Digest {
  return digestBytes(`output of ${name}`)
}

/** Puts a step into a store. */
export async function addStep(store: Store, step: TestStep): Promise<SnapshotId> {
  const { name, below = [], layer, inputs = [], bytes = 10_000, durationMs = 1000, keys = [name] } = step
  const draft = await store.snapshots.draft()
  writeFileSync(join(draft.upper, 'file'), 'x'.repeat(bytes))
  const record: CacheRecord = {
    outputKey: outputOf(name),
    name,
    op: { kind: 'exec.v3' },
    inputs: [...below.map((base) => ({ kind: 'result', key: outputOf(base) }) as const), ...inputs],
    stored: { snapshot: draft.id, createdAt: 1 },
    createdAt: 1,
    durationMs,
  }
  const texts = [{ keys: keys.map((key) => digestBytes(key)), text: encodeRecord(record) }]
  if (layer === undefined) await draft.commit(texts)
  else await draft.commit(texts, { layer: await putLayer(store, layer) })
  return draft.id
}

/** Puts a record of something that is no step. */
export async function addTree(
  store: Store,
  key: string,
  more: Readonly<Record<string, unknown>> = {},
): Promise<SnapshotId> {
  const draft = await store.snapshots.draft()
  const text = JSON.stringify({ format: 1, snapshot: draft.id, ...more })
  await draft.commit([{ keys: [digestBytes(key)], text }])
  return draft.id
}

/** The layer form of a snapshot; the blob is its text. */
async function putLayer(store: Store, text: string) {
  const blob = await putBlob(store, mediaTypes.ociLayerGzip, text)
  return { blobs: [{ ...blob, diffId: parseDiffId(digestBytes(`tar of ${text}`)), form: undefined }] }
}

/** Puts a blob and describes it. */
export async function putBlob(store: Store, mediaType: string, content: unknown): Promise<Descriptor> {
  const text = typeof content === 'string' ? content : JSON.stringify(content)
  return { mediaType, ...(await store.blobs.put(Buffer.from(text))) }
}

/** Puts an image of layers and gives it names. */
export async function addImage(
  store: Store,
  names: readonly string[],
  layers: readonly string[],
  more: Readonly<Record<string, unknown>> = {},
): Promise<Descriptor> {
  const config = await putBlob(store, mediaTypes.ociConfig, { of: names })
  const blobs = await Promise.all(layers.map((layer) => putBlob(store, mediaTypes.ociLayerGzip, layer)))
  const manifest = await putBlob(store, mediaTypes.ociManifest, {
    schemaVersion: 2,
    config,
    layers: blobs,
    ...more,
  })
  if (names.length > 0) await store.images.set(names, manifest)
  return manifest
}
