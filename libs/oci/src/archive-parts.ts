import { once } from 'node:events'
import type { Pack } from 'tar-stream'
import type { Descriptor } from './types.ts'

/** A piece of an archive: bytes, or a blob that is put there as it is. */
export type ArchivePart =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'blob'; readonly blob: Descriptor }

/** An entry of an archive. */
export interface ArchiveFile {
  /** A directory's ends with a slash. */
  readonly name: string
  readonly content: ArchivePart | { readonly kind: 'directory' }
}

const blockBytes = 512

/** The bytes of a tar of these files, cut where a blob is to be put: two pieces of bytes never follow each other. */
export async function archiveParts(files: readonly ArchiveFile[]): Promise<readonly ArchivePart[]> {
  // Loaded here because most builds that a developer runs write no archive, and it takes longer than the rest of this lib.
  const { pack } = await import('tar-stream')
  const parts: ArchivePart[] = []
  let pending: Uint8Array[] = []
  for (const { name, content } of files) {
    const size = sizeOf(content)
    pending.push(await headerOf(pack(), { ...fixedFields, ...kindOf(content), name, size }))
    if (content.kind === 'bytes') pending.push(content.bytes)
    if (content.kind === 'blob') {
      parts.push({ kind: 'bytes', bytes: Buffer.concat(pending) }, content)
      pending = []
    }
    pending.push(Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes))
  }
  // Two blocks of zeros are the end.
  pending.push(Buffer.alloc(2 * blockBytes))
  return [...parts, { kind: 'bytes', bytes: Buffer.concat(pending) }]
}

/** The header that a file of this size gets; its content is not given. */
async function headerOf(pack: Pack, header: Parameters<Pack['entry']>[0]): Promise<Uint8Array> {
  // Both complain when they are given up.
  pack.on('error', () => {})
  pack.entry(header).on('error', () => {})
  const [bytes] = await once(pack, 'data')
  pack.destroy()
  return bytes
}

function sizeOf(content: ArchiveFile['content']): number {
  if (content.kind === 'directory') return 0
  return content.kind === 'bytes' ? content.bytes.length : content.blob.size
}

function kindOf({ kind }: ArchiveFile['content']) {
  return kind === 'directory'
    ? ({ mode: 0o755, type: 'directory' } as const)
    : ({ mode: 0o644, type: 'file' } as const)
}

/** Nothing in a header may depend on the machine or the moment. */
const fixedFields = { mtime: new Date(0), uid: 0, gid: 0, uname: '', gname: '' }
