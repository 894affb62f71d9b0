import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { check } from './tsbuild.ts'

/** A descriptor of an untyped document. */
export interface RawDescriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
  readonly platform?: { readonly os: string; readonly architecture: string }
}

/** A manifest of attestations, read from an unpacked archive without tsbuild's own readers. */
export interface RawAttestations {
  /** That the manifest is about, as the index says. */
  readonly image: RawDescriptor
  readonly descriptor: RawDescriptor
  readonly manifest: {
    readonly artifactType?: string
    readonly config: RawDescriptor
    readonly layers: readonly RawDescriptor[]
    readonly subject?: RawDescriptor
  }
  /** By predicate type. */
  // biome-ignore lint/suspicious/noExplicitAny: documents of several forms, of which tests look at parts
  readonly statements: Readonly<Record<string, any>>
}

/** Unpacks an OCI archive into a directory beside it and reads what it says about its images, in the order of the index. */
export async function readArchive(archive: string): Promise<readonly RawAttestations[]> {
  const directory = `${archive}.layout`
  await check('rm', ['-rf', directory])
  await check('mkdir', [directory])
  await check('tar', ['-xf', archive, '-C', directory])
  return readLayout(directory)
}

/** The same of a layout that is there. */
export function readLayout(directory: string): readonly RawAttestations[] {
  const read = (digest: string) =>
    JSON.parse(readFileSync(join(directory, 'blobs/sha256', digest.replace('sha256:', '')), 'utf8'))
  const [root] = JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8')).manifests
  const entries: readonly RawDescriptor[] = read(root.digest).manifests ?? []
  return entries.flatMap((descriptor) => {
    const about = descriptor.annotations?.['vnd.docker.reference.digest']
    const image = entries.find(({ digest }) => digest === about)
    if (image === undefined) return []
    const manifest: RawAttestations['manifest'] = read(descriptor.digest)
    const statements = Object.fromEntries(
      manifest.layers.map(({ digest, annotations }) => [
        annotations?.['in-toto.io/predicate-type'] ?? '',
        read(digest),
      ]),
    )
    return [{ image, descriptor, manifest, statements }]
  })
}

/** A text with everything that base64 hides in it, too. */
export function revealed(value: unknown): string {
  const text = JSON.stringify(value)
  const hidden = [...text.matchAll(/"([A-Za-z0-9+/=]{16,})"/g)].map(([, encoded = '']) =>
    Buffer.from(encoded, 'base64').toString('latin1'),
  )
  return [text, ...hidden].join('\n')
}
