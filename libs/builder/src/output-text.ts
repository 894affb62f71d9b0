import { redact } from '@tsbuild/errors'
import type { AnnotationSpec, CompressionSpec, OutputSpec } from './output-types.ts'

type Member<Spec> = Spec extends unknown ? keyof Spec : never

/** The attributes of `--output` by what they are in an output; a row each, so that none is left out. */
const attributes: Readonly<
  Record<Exclude<Member<OutputSpec>, 'type' | 'dest' | 'compression' | 'annotations'>, string>
> = {
  names: 'name',
  context: 'context',
  push: 'push',
  store: 'store',
  pushByDigest: 'push-by-digest',
  insecure: 'registry.insecure',
  nameCanonical: 'name-canonical',
  danglingNamePrefix: 'dangling-name-prefix',
  danglingNameEmptyOnly: 'danging-name-empty-only',
  tar: 'tar',
  forceCompression: 'force-compression',
  ociMediaTypes: 'oci-mediatypes',
  ociArtifact: 'oci-artifact',
  attestationInline: 'attestation-inline',
  preferNonDistributable: 'prefer-nondist-layers',
  rewriteTimestamp: 'rewrite-timestamp',
  sourceDateEpoch: 'source-date-epoch',
  compatibilityVersion: 'compatibility-version',
  platformSplit: 'platform-split',
  attestationPrefix: 'attestation-prefix',
  mode: 'mode',
}

/** An output as the flag says it, without credentials. */
export function outputText(output: OutputSpec): string {
  const given: Readonly<Record<string, unknown>> = { ...output }
  const dest = 'dest' in output ? [`dest=${typeof output.dest === 'string' ? output.dest : '-'}`] : []
  const settings = Object.entries(attributes).flatMap(([member, name]) => {
    const value = given[member]
    if (value === undefined) return []
    return [`${name}=${Array.isArray(value) ? value.join(',') : (value ?? '')}`]
  })
  const compression = 'compression' in output ? compressionTexts(output.compression) : []
  const annotations = 'annotations' in output ? (output.annotations ?? []).map(annotationAttribute) : []
  return [`type=${output.type}`, ...dest, ...compression, ...settings, ...annotations]
    .map((field) => csvField(redact(field)))
    .join(',')
}

function compressionTexts(compression: CompressionSpec | undefined): readonly string[] {
  if (compression === undefined) return []
  const { type, level } = compression
  return [`compression=${type}`, ...(level === undefined ? [] : [`compression-level=${level}`])]
}

function annotationAttribute(annotation: AnnotationSpec): string {
  return `annotation-${placeOf(annotation)}.${annotation.key}=${annotation.value}`
}

/** An annotation as its own flag says it. */
export function annotationText(annotation: AnnotationSpec): string {
  return `${placeOf(annotation)}:${annotation.key}=${annotation.value}`
}

function placeOf({ level, platform }: AnnotationSpec): string {
  return platform === undefined ? level : `${level}[${platform}]`
}

function csvField(field: string): string {
  return /[",\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field
}
