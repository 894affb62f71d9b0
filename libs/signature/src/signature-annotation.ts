import type { Descriptor } from '@tsbuild/oci'

/** Where cosign keeps the signature of a blob: on its descriptor, in base64. */
export const signatureAnnotation = 'dev.cosignproject.cosign/signature'

/** The signature of a blob; undefined where there is none, or it is not base64. */
export function signatureOf({ annotations = {} }: Descriptor): Buffer | undefined {
  return decodeBase64(annotations[signatureAnnotation])
}

/** Decodes strictly: Node passes over what is no base64, and two texts would be one signature. */
export function decodeBase64(text: string | undefined): Buffer | undefined {
  if (text === undefined || text === '') return undefined
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}
