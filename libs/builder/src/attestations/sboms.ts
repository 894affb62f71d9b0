import type { Attestation } from '@tsbuild/exporter'
import { familiarName, formatPlatform, parseReference } from '@tsbuild/oci'
import type { Filesystem } from '@tsbuild/snapshot'
import type { PlatformResult } from '../image-outputs.ts'
import { tagsOf } from '../output-names.ts'
import type { AttestationSource } from './create-attestations.ts'

/** Lists what is installed in the results of a build; in each once, however many outputs want it. */
export function createSboms(
  source: AttestationSource,
): (result: PlatformResult) => Promise<readonly Attestation[]> {
  const made = new Map<PlatformResult, Promise<readonly Attestation[]>>()
  return (result) => {
    const known = made.get(result) ?? makeSboms(source, result)
    made.set(result, known)
    return known
  }
}

async function makeSboms(source: AttestationSource, result: PlatformResult): Promise<readonly Attestation[]> {
  const { run, internal, snapshotter, platforms } = source
  const { frontend, filesystem } = result
  const { machine, options, signal } = run
  const { generator } = options.attestations?.sbom ?? {}
  const platform = formatPlatform(frontend.image.platform)
  const prefix = platforms.length > 1 ? `[${platform}] ` : ''
  const title = generator === undefined ? 'generating sbom' : `generating sbom using ${generator}`
  return await internal.run(`${prefix}${title}`, async (vertex) => {
    if (generator !== undefined) {
      const { runGenerator } = await import('./run-generator.ts')
      const onOutput = (stream: 'stdout' | 'stderr', data: Buffer) =>
        run.events({ type: 'vertex.log', vertex, stream, data, at: machine.now() })
      return await runGenerator({ source, result, generator, onOutput })
    }
    const { snapshotReader, spdxDocument, takeInventory } = await import('@tsbuild/sbom')
    const root = await snapshotter.view(filesystem, signal)
    const inventory = await takeInventory(snapshotReader(machine.native, root, signal))
    for (const message of inventory.notes) internal.warn({ rule: 'SbomIncomplete', message, source: null })
    const [tag] = tagsOf(options)
    const predicate = spdxDocument(inventory, {
      name: tag === undefined ? 'image' : familiarName(parseReference(tag)),
      createdAt: createdAt(filesystem, frontend),
      tool: `tsbuild-${machine.options.version ?? 'unknown'}`,
    })
    return [{ predicateType: 'https://spdx.dev/Document', predicate }]
  })
}

/** The time of the image, never that of the export: so a cached build gives the same document. */
function createdAt({ layers }: Filesystem, { image, sourceDateEpoch }: PlatformResult['frontend']): number {
  if (sourceDateEpoch !== undefined) return sourceDateEpoch * 1000
  const own = layers.flatMap((layer) => (layer.kind === 'image' ? [] : [layer.createdAt]))
  const base = Date.parse(image.baseCreated ?? '')
  return Math.max(0, ...own, Number.isNaN(base) ? 0 : base)
}
