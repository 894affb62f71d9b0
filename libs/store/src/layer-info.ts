import { isDigest, parseDiffId } from '@tsbuild/digest'
import { count, isRecord, parseJson } from '@tsbuild/shape'
import { readDescriptor, writeDescriptor } from './descriptor-json.ts'
import type { LayerInfo, StoredForm, StoredLayer } from './snapshot-types.ts'

/** What is known of a snapshot's layer, with what is known newly: a blob takes the place of another one of the same form. */
export function mergeLayers(known: LayerInfo | undefined, added: LayerInfo): LayerInfo {
  const isReplaced = ({ digest, form }: StoredLayer) =>
    added.blobs.some((fresh) =>
      form === undefined || fresh.form === undefined
        ? form === fresh.form && digest === fresh.digest
        : isSameForm(form, fresh.form),
    )
  return { blobs: [...(known?.blobs ?? []).filter((blob) => !isReplaced(blob)), ...added.blobs] }
}

/** Whether what is written in one form is what is written in the other. */
export function isSameForm(one: StoredForm, other: StoredForm): boolean {
  return one.format === other.format && one.level === other.level && one.clampMtime === other.clampMtime
}

/** The format of a form, whichever encoder wrote it. */
export function formatOfForm({ format }: StoredForm): string {
  return format.split('.', 1)[0] ?? format
}

/** The text of a `layer.json`. */
export function layerText({ blobs }: LayerInfo): string {
  return JSON.stringify({
    blobs: blobs.map(storedLayerJson),
  })
}

/** The value that stands for a blob in a JSON file. */
export function storedLayerJson({ diffId, form, ...descriptor }: StoredLayer): Record<string, unknown> {
  return { ...writeDescriptor(descriptor), diffId, form }
}

/**
 * Reads the text of a `layer.json`. Before layers had several forms there was one `diffId` for all blobs, and nothing said as what
 * they were written.
 *
 * @returns undefined for text that is no layer: it can be made again
 */
export function parseLayerInfo(text: string): LayerInfo | undefined {
  const value = parseJson(text)
  if (!isRecord(value) || !Array.isArray(value.blobs)) return undefined
  const blobs: StoredLayer[] = []
  for (const item of value.blobs) {
    const blob = parseStoredLayer(item, value.diffId)
    if (blob === undefined) return undefined
    blobs.push(blob)
  }
  return { blobs }
}

/**
 * Undoes {@link storedLayerJson}.
 *
 * @param common the diffID of a blob that has none of its own
 * @returns undefined for a value that is none
 */
export function parseStoredLayer(value: unknown, common?: unknown): StoredLayer | undefined {
  const descriptor = readDescriptor(value)
  if (descriptor === undefined || !isRecord(value)) return undefined
  const { diffId = common, form } = value
  if (typeof diffId !== 'string' || !isDigest(diffId)) return undefined
  if (form !== undefined && !isForm(form)) return undefined
  return { ...descriptor, diffId: parseDiffId(diffId), form }
}

function isForm(value: unknown): value is StoredForm {
  return (
    isRecord(value) &&
    typeof value.format === 'string' &&
    count(value.level) &&
    (value.clampMtime === null || Number.isSafeInteger(value.clampMtime))
  )
}
