import type { DockerfileText } from '@tsbuild/context'
import {
  type AssembledImage,
  type Attestation,
  attestationManifest,
  type ExportContext,
  type ExtraFile,
  fileStatement,
  fileSubjects,
  storeAttestations,
} from '@tsbuild/exporter'
import { formatPlatform, hostPlatform, type Platform, samePlatform } from '@tsbuild/oci'
import type { BuildDescription } from '@tsbuild/provenance'
import type { Snapshotter } from '@tsbuild/snapshot'
import type { PlatformResult } from '../image-outputs.ts'
import type { InternalVertices } from '../internal-vertex.ts'
import { epochOf } from '../output-form.ts'
import { namesOf } from '../output-names.ts'
import type { DirectoryOutput, ImageLikeOutput, TarOutput } from '../output-types.ts'
import { outputsOf } from '../outputs.ts'
import type { BuildRun } from '../run-build.ts'
import type { BuiltProvenance } from './attestation-types.ts'
import { createMaterialLog, type MaterialLog, materialsOf } from './materials.ts'
import { createSboms } from './sboms.ts'

/** What is said about the results of a build. */
export interface Attestations {
  /** Stores what is said about an image. Undefined where an output wants none of it. */
  ofImage(
    image: AssembledImage,
    platform: Platform,
    output: ImageLikeOutput,
    context: ExportContext,
  ): Promise<AssembledImage | undefined>
  /** What stands beside the files of a result. */
  filesOf(result: PlatformResult, output: DirectoryOutput | TarOutput): Promise<readonly ExtraFile[]>
  /** For the metadata of the build; empty where no provenance was asked for. */
  provenances(): Promise<readonly BuiltProvenance[]>
}

/** What an attestation is about, and whether it stands where it is made. */
interface About {
  readonly isInline: boolean
  readonly image?: AssembledImage | undefined
}

/** What attestations are made from. */
export interface AttestationSource {
  readonly run: BuildRun
  readonly internal: InternalVertices
  readonly snapshotter: Snapshotter
  readonly platforms: readonly PlatformResult[]
  readonly file: DockerfileText
}

/** Undefined where none is asked for: then nothing of all this is loaded. */
export function createAttestations(source: AttestationSource): Attestations | undefined {
  const { provenance, sbom } = source.run.options.attestations ?? {}
  if (provenance === undefined && sbom === undefined) return undefined
  const { run, platforms, internal } = source
  if (outputsOf(run.options).every(({ type }) => type === 'cacheonly')) {
    const message =
      'Attestations were asked for, and no output takes them: name the image, or give an --output.'
    internal.warn({ rule: 'AttestationUnused', message, source: null })
  }
  const sboms = createSboms(source)
  const finishedAt = run.machine.now()
  const said = async (
    result: PlatformResult,
    output: DirectoryOutput | TarOutput | ImageLikeOutput,
    about: About,
  ) => {
    const { isInline, image } = about
    // A date that is given is given so that the same input is the same image.
    const isDated = epochOf(output, result.frontend) !== undefined
    const wantsProvenance = provenance !== undefined && (isInline || provenance.inlineOnly !== true)
    return [
      ...(sbom === undefined ? [] : await sboms(result)),
      ...(wantsProvenance ? [await provenanceOf(source, result, { finishedAt, isDated, image })] : []),
    ]
  }
  return {
    async ofImage(image, platform, output, context) {
      const result = platforms.find(({ frontend }) => samePlatform(frontend.image.platform, platform))
      // An archive is for elsewhere, as files are.
      const { attestationInline = !('dest' in output), ociArtifact = true } = output
      const attestations =
        result === undefined ? [] : await said(result, output, { isInline: attestationInline, image })
      if (attestations.length === 0) return undefined
      const names = namesOf(output, run.options)
      const parts = { image: image.manifest, platform, names, attestations, ociArtifact }
      return await storeAttestations(run.machine.store, attestationManifest(parts), context)
    },
    async filesOf(result, output) {
      const { attestationPrefix = '' } = output
      const attestations = await said(result, output, { isInline: false })
      if (attestations.length === 0) return []
      const { native } = run.machine
      const root = await source.snapshotter.view(result.filesystem, run.signal)
      const subjects = await fileSubjects(native, root, run.signal)
      return attestations.map((attestation, index) => ({
        name: `${attestationPrefix}${nameOf(attestation, index, provenance?.filename)}`,
        bytes: fileStatement(attestation, subjects),
      }))
    },
    async provenances() {
      if (provenance === undefined) return []
      return await Promise.all(
        platforms.map(async (result) => {
          const platform = formatPlatform(result.frontend.image.platform)
          const isDated = result.frontend.sourceDateEpoch !== undefined
          const { predicate } = await provenanceOf(source, result, { finishedAt, isDated, mode: 'min' })
          return { platform, predicate }
        }),
      )
    },
  }
}

/** As BuildKit calls them. */
function nameOf({ predicateType }: Attestation, index: number, provenanceName = 'provenance.json'): string {
  if (predicateType.startsWith('https://slsa.dev/provenance/')) return provenanceName
  return index === 0 ? 'sbom.spdx.json' : `sbom-${index}.spdx.json`
}

/** One provenance of a build. */
interface ProvenanceRun {
  readonly finishedAt: number
  /** `SOURCE_DATE_EPOCH` counts. */
  readonly isDated: boolean
  /** Undefined for files. */
  readonly image?: AssembledImage | undefined
  readonly mode?: 'min' | 'max' | undefined
}

async function provenanceOf(
  { run, file }: AttestationSource,
  { frontend }: PlatformResult,
  { finishedAt, isDated, image, ...given }: ProvenanceRun,
): Promise<Attestation> {
  const { createProvenance } = await import('@tsbuild/provenance')
  const { options, startedAt = finishedAt } = run
  const { version = 'v1', builderId, reproducible } = options.attestations?.provenance ?? {}
  const description: BuildDescription = {
    dockerfile: { name: file.shown, text: file.text },
    target: options.target,
    buildArgs: options.buildArgs ?? {},
    labels: options.labels ?? {},
    contexts: options.buildContexts ?? {},
    graph: frontend.graph,
    ...materialsOf(frontend.graph, materialLogOf(run), options),
    builderPlatform: hostPlatform(process.arch),
    invocationId: run.ref,
    startedAt,
    finishedAt,
    layers: image?.layers.map(({ descriptor }) => descriptor) ?? [],
  }
  const { mode = options.attestations?.provenance?.mode ?? 'max' } = given
  const timeless = reproducible === true || isDated
  return createProvenance(description, { mode, version, builderId, reproducible, timeless })
}

function materialLogOf({ materials }: BuildRun): MaterialLog {
  return materials ?? createMaterialLog()
}
