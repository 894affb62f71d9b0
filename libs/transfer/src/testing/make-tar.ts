/** One entry of an archive made by hand; nothing is checked, since many of these are meant to be wrong. */
export interface TarEntry {
  readonly name: string
  /** `0` file, `1` hard link, `2` symlink, `5` directory. */
  readonly type?: '0' | '1' | '2' | '5'
  readonly link?: string
  readonly data?: string | Buffer
}

/** The bytes of a ustar archive with these entries, in this order. */
export function makeTar(entries: readonly TarEntry[]): Buffer {
  const parts = entries.flatMap(({ name, type = '0', link = '', data = '' }) => {
    const bytes = Buffer.from(data)
    const header = Buffer.alloc(512)
    header.write(name, 0, 100)
    header.write(`0000644\0${'0000000\0'.repeat(2)}${bytes.length.toString(8).padStart(11, '0')}\0`, 100)
    header.write(`${'0'.repeat(11)}\0${' '.repeat(8)}${type}`, 136)
    header.write(link, 157, 100)
    header.write('ustar\x0000', 257)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]
  })
  return Buffer.concat([...parts, Buffer.alloc(1024)])
}
