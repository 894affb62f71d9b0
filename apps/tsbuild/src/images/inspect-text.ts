import type { ImageReport, PlatformReport } from '@tsbuild/builder'
import { formatAge, formatSize, formatTable, visible } from '@tsbuild/command-line'

/** An image for people: what it is, its layers with the instruction that made each, labels, and what is said about it. */
export function inspectText(report: ImageReport, now: number): string {
  const { image, manifests, attestations, annotations } = report
  const head: readonly (readonly [string, string])[] = [
    ['Name:', report.place],
    ['Names:', report.names.join(', ')],
    ['Digest:', report.digest],
    ['MediaType:', report.mediaType],
    ['ArtifactType:', report.artifactType ?? ''],
  ]
  const parts = [
    table(head.filter(([, value]) => value !== '')),
    section('Annotations', pairs(annotations)),
    section(
      'Manifests',
      manifests.map((each) => [each.digest, each.platform ?? '-', each.mediaType]),
    ),
    ...(image === undefined ? [] : imageText(image, now)),
    section(
      'Attestations',
      attestations.map(({ digest, type, kept }) => [
        digest,
        type,
        kept === 'index' ? 'in the index' : 'referrer',
      ]),
    ),
  ]
  return parts.filter((part) => part !== '').join('\n')
}

function imageText(image: PlatformReport, now: number): readonly string[] {
  const { config, layers, history } = image
  const facts: readonly (readonly [string, string])[] = [
    ['Image ID:', image.id],
    ['Manifest:', image.manifest],
    ['Platform:', image.platform],
    ['Created:', image.created === undefined ? '' : `${image.created} (${formatAge(image.created, now)})`],
    ['Author:', image.author ?? ''],
    [
      'Size:',
      `${formatSize(image.sizeBytes)} in ${layers.length} ${layers.length === 1 ? 'layer' : 'layers'}`,
    ],
    ['User:', config.user ?? ''],
    ['WorkingDir:', config.workingDir ?? ''],
    ['Entrypoint:', words(config.entrypoint)],
    ['Cmd:', words(config.cmd)],
    ['Ports:', (config.exposedPorts ?? []).join(', ')],
    ['Volumes:', (config.volumes ?? []).join(', ')],
    ['StopSignal:', config.stopSignal ?? ''],
  ]
  return [
    table(facts.filter(([, value]) => value !== '')),
    section(
      'Env',
      (config.env ?? []).map((line) => [line]),
    ),
    section('Labels', pairs(config.labels ?? {})),
    section(
      'Layers',
      layers.map(({ digest, sizeBytes, createdBy = '-' }) => [
        digest,
        formatSize(sizeBytes),
        brief(createdBy),
      ]),
    ),
    section(
      'History',
      history.map(({ created, createdBy = '-', emptyLayer }) => [
        formatAge(created, now),
        emptyLayer === true ? 'no layer' : 'layer',
        brief(createdBy),
      ]),
    ),
  ]
}

function words(list: readonly string[] | undefined): string {
  return list === undefined || list.length === 0 ? '' : JSON.stringify(list)
}

function pairs(map: Readonly<Record<string, string>>): readonly (readonly string[])[] {
  return Object.entries(map).map(([name, value]) => [`${name}=${value}`])
}

/** A RUN may be a program of many lines; JSON has all of it. */
function brief(text: string): string {
  const line = text.replace(/\s+/g, ' ')
  return line.length <= 100 ? line : `${line.slice(0, 99)}…`
}

function section(title: string, rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return ''
  return `${title}:\n${table(rows).replace(/^/gm, '  ').trimEnd()}\n`
}

/** Nothing in an image is an order to a terminal, or a line of its own. */
function table(rows: readonly (readonly string[])[]): string {
  return formatTable(rows.map((row) => row.map((cell) => visible(cell).replaceAll('\n', '\\n'))))
}
