import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { UserError } from '@tsbuild/errors'
import type { Header } from 'tar-stream'
import type { LayerEntry } from './types.ts'

/** Layers with more entries are not listed; the helper unpacks none that large either. */
const mostEntries = 2_000_000

const xattrPrefix = 'SCHILY.xattr.'

/**
 * Lists the entries of a layer in the order of its tar, each with the digest of its content.
 *
 * @param tar not compressed; used up or destroyed
 * @throws {UserError} `ERR_LAYER_INVALID` if it is no tar, or one with more than two million entries
 */
export async function readLayer(tar: Readable): Promise<readonly LayerEntry[]> {
  const { extract } = await import('tar-stream')
  const archive = tar.pipe(extract())
  tar.once('error', (error) => archive.destroy(error))
  const entries: LayerEntry[] = []
  try {
    for await (const entry of archive) {
      if (entries.length >= mostEntries) throw new Error(`it has more than ${mostEntries} entries`)
      entries.push(describe(entry.header, await contentOf(entry.header, entry)))
    }
    return entries
  } catch (cause) {
    tar.destroy()
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new UserError('ERR_LAYER_INVALID', `Cannot list the files of a layer: ${why}`, { cause })
  }
}

async function contentOf({ type }: Header, entry: AsyncIterable<unknown>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of entry) hash.update(chunk as Uint8Array)
  const hasContent = type === 'file' || type === 'contiguous-file'
  return hasContent ? `sha256:${hash.digest('hex')}` : ''
}

function describe(header: Header, content: string): LayerEntry {
  const pax = (header.pax ?? {}) as Readonly<Record<string, string>>
  const isDevice = header.type === 'character-device' || header.type === 'block-device'
  return {
    path: header.name.replace(/^(\.?\/)+/, '').replace(/\/+$/, ''),
    type: header.type ?? 'file',
    mode: header.mode ?? 0,
    // The library takes these over from no PAX record.
    uid: Number(pax.uid ?? header.uid ?? 0),
    gid: Number(pax.gid ?? header.gid ?? 0),
    size: content === '' ? 0 : (header.size ?? 0),
    mtime: Number(pax.mtime ?? (header.mtime?.getTime() ?? 0) / 1000),
    target: header.linkname ?? '',
    device: isDevice ? `${header.devmajor ?? 0}:${header.devminor ?? 0}` : '',
    content,
    xattrs: xattrsOf(pax),
  }
}

function xattrsOf(pax: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const found = Object.entries(pax).filter(([name]) => name.startsWith(xattrPrefix))
  return Object.fromEntries(
    found.map(([name, value]) => [name.slice(xattrPrefix.length), Buffer.from(value).toString('base64')]),
  )
}
