import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { digestHex } from '@tsbuild/digest'
import type { Descriptor, OpenBlob } from '@tsbuild/oci'
import type { Pack } from 'tar-stream'

/** What goes into an archive for an engine that keeps images by their layers. */
export interface EngineArchive {
  readonly config: Descriptor
  readonly configBytes: Uint8Array
  /** Lowest first. */
  readonly layers: readonly Descriptor[]
  /** For each layer: its bytes, an empty file in their place (podman wants one), or no file (Docker wants none). */
  readonly forms: readonly ('bytes' | 'empty' | 'absent')[]
  /** In full form, with a tag. */
  readonly names: readonly string[]
  readonly open: OpenBlob
}

/**
 * Writes an archive for `POST /images/load`. It is no OCI layout: podman would take it for one, and look for blobs that are
 * left out. `out` is not ended.
 */
export async function writeEngineArchive(
  out: Writable,
  archive: EngineArchive,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { pack: createPack } = await import('tar-stream')
  const pack = createPack()
  const sent = pipeline(pack, out, { end: false, ...(signal && { signal }) })
  sent.catch((error) => pack.destroy(error))
  try {
    await fill(pack, archive)
  } catch (error) {
    pack.destroy(error instanceof Error ? error : new Error(String(error)))
    await sent.catch(() => {})
    throw error
  }
  await sent
}

async function fill(pack: Pack, archive: EngineArchive): Promise<void> {
  const { config, configBytes, layers, forms, names, open } = archive
  const manifest = [
    { Config: pathOf(config), RepoTags: names.length === 0 ? null : names, Layers: layers.map(pathOf) },
  ]
  await addFile(pack, 'manifest.json', Buffer.from(JSON.stringify(manifest)))
  await addFile(pack, pathOf(config), configBytes)
  const written = new Set<string>()
  for (const [index, layer] of layers.entries()) {
    const form = forms[index]
    // An image may have a layer twice; the archive has its file once.
    if (form === 'absent' || written.has(layer.digest)) continue
    written.add(layer.digest)
    if (form === 'empty') await addFile(pack, pathOf(layer), new Uint8Array())
    else await pipeline(await open(layer.digest), pack.entry(header(pathOf(layer), layer.size)))
  }
  pack.finalize()
}

async function addFile(pack: Pack, name: string, bytes: Uint8Array): Promise<void> {
  await pipeline(Readable.from([bytes]), pack.entry(header(name, bytes.length)))
}

function header(name: string, size: number) {
  return { name, size, mode: 0o644, mtime: new Date(0), type: 'file' as const }
}

function pathOf({ digest }: Descriptor): string {
  return `blobs/sha256/${digestHex(digest)}`
}
