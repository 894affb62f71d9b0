import { UserError } from '@tsbuild/errors'
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

async function makeSboms(
  { run, internal, snapshotter, platforms }: AttestationSource,
  { frontend, filesystem }: PlatformResult,
): Promise<readonly Attestation[]> {
  const { machine, options, signal } = run
  const { generator } = options.attestations?.sbom ?? {}
  if (generator !== undefined) throw generatorUnsupported(generator)
  const platform = formatPlatform(frontend.image.platform)
  const title = `${platforms.length > 1 ? `[${platform}] ` : ''}generating sbom`
  return await internal.run(title, async () => {
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
  const own = layers.flatMap((layer) => (layer.kind === 'snapshot' ? [layer.createdAt] : []))
  const base = Date.parse(image.baseCreated ?? '')
  return Math.max(0, ...own, Number.isNaN(base) ? 0 : base)
}

function generatorUnsupported(generator: string): UserError {
  return new UserError(
    'ERR_UNSUPPORTED',
    `Cannot use the SBOM generator "${generator}": images that make SBOMs are not supported`,
    { hints: ['`--sbom` without a generator reads the package databases of the image itself.'] },
  )
}
