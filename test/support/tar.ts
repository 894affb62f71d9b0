/** One entry of an archive made by hand; nothing is checked, since most of these are meant to be wrong. */
export interface TarEntry {
  readonly name: string
  /** One character of the header: `0` file, `1` hard link, `2` symlink, `3` and `4` devices, `5` directory, `6` fifo,
   *  `x` extended header of the next entry. */
  readonly type?: '0' | '1' | '2' | '3' | '4' | '5' | '6' | 'x'
  readonly link?: string
  readonly mode?: number
  readonly owner?: readonly [uid: number, gid: number]
  /** Seconds since the Unix epoch. */
  readonly mtime?: number
  readonly data?: string | Buffer
  readonly device?: readonly [major: number, minor: number]
}

const block = 512

/** The bytes of a ustar archive with these entries, in this order, with its end mark. */
export function makeTar(entries: readonly TarEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(makeEntry), Buffer.alloc(2 * block)])
}

function makeEntry(entry: TarEntry): readonly Buffer[] {
  const data = Buffer.from(entry.data ?? '')
  const padding = Buffer.alloc((block - (data.length % block)) % block)
  return [makeHeader(entry, data.length), data, padding]
}

function makeHeader(entry: TarEntry, sizeBytes: number): Buffer {
  const header = Buffer.alloc(block)
  const text = (value: string, offset: number, length: number) => header.write(value, offset, length, 'utf8')
  const octal = (value: number, offset: number, length: number) =>
    text(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, length)
  const type = entry.type ?? '0'
  text(entry.name, 0, 100)
  octal(entry.mode ?? (type === '5' ? 0o755 : 0o644), 100, 8)
  octal(entry.owner?.[0] ?? 0, 108, 8)
  octal(entry.owner?.[1] ?? 0, 116, 8)
  octal(sizeBytes, 124, 12)
  octal(entry.mtime ?? 0, 136, 12)
  text(' '.repeat(8), 148, 8)
  text(type, 156, 1)
  text(entry.link ?? '', 157, 100)
  text('ustar\0', 257, 6)
  text('00', 263, 2)
  octal(entry.device?.[0] ?? 0, 329, 8)
  octal(entry.device?.[1] ?? 0, 337, 8)
  const sum = header.reduce((total, byte) => total + byte, 0)
  text(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8)
  return header
}
