import { execFileSync } from 'node:child_process'
import { makeTar, type TarEntry } from '../../support/tar.ts'
import { type Entry, parseEntry } from './entry.ts'
import { listOf, objectOf, optional, type Parse, text, word } from './parse.ts'

/** What an archive in a context is described by. */
export interface Archive {
  readonly compression: 'none' | 'gzip' | 'bzip2' | 'xz' | 'zstd'
  /** In order; names as they shall stand in the headers, however wrong. */
  readonly entries: readonly { readonly name: string; readonly entry: Entry }[]
}

const typeOf = {
  file: '0',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
} as const

/** Reads `{ "compression": …, "entries": [{ "name": …, … }] }`. */
export const parseArchive: Parse<Archive> = (value, at) => {
  const { compression, entries } = objectOf({
    compression: optional(word('none', 'gzip', 'bzip2', 'xz', 'zstd')),
    entries: listOf(parseNamed),
  })(value, at)
  return { compression: compression ?? 'none', entries }
}

const parseNamed: Parse<Archive['entries'][number]> = (value, at) => {
  const { name: given, ...rest } = Object(value)
  const name = text(given, `${at}.name`)
  return { name, entry: parseEntry(name)(rest, at) }
}

/** The bytes of an archive. Compressed by the machine's own programs, so that what is read back was made elsewhere. */
export function makeArchive({ compression, entries }: Archive): Buffer {
  const plain = makeTar(entries.flatMap(({ name, entry }) => tarEntries(name, entry)))
  if (compression === 'none') return plain
  return execFileSync(compression, ['-c'], { input: plain, maxBuffer: 64 * 1024 * 1024 })
}

function tarEntries(name: string, entry: Entry): readonly TarEntry[] {
  if (entry.type === 'socket') throw new Error(`${name}: an archive holds no sockets`)
  const main: TarEntry = {
    name,
    type: entry.hardlink === undefined ? typeOf[entry.type] : '1',
    mode: entry.mode,
    owner: [entry.uid, entry.gid],
    mtime: entry.mtime ?? 0,
    data: entry.content,
    ...(entry.device === undefined ? {} : { device: entry.device }),
    ...(entry.target === undefined ? {} : { link: entry.target }),
    ...(entry.hardlink === undefined ? {} : { link: entry.hardlink }),
  }
  if (entry.xattrs.size === 0) return [main]
  const records = [...entry.xattrs].map(([key, value]) => paxRecord(`SCHILY.xattr.${key}`, value))
  return [{ name: 'PaxHeader', type: 'x', data: Buffer.concat(records) }, main]
}

/** `<length> <key>=<value>\n`, where the length counts its own digits. */
function paxRecord(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')])
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.concat([Buffer.from(String(length)), rest])
}
