import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pack } from 'tar-stream'
import { describe, expect, it } from 'vitest'
import { indexArchive } from './index.ts'

type TarEntry = { readonly name: string; readonly type?: 'symlink'; readonly data?: string }

/** tar-stream writes what it is given: names that no program would make. */
async function makeTar(entries: readonly TarEntry[]): Promise<Buffer> {
  const tar = pack()
  for (const { name, type, data = '' } of entries)
    tar.entry({ name, ...(type && { type, linkname: 'b' }) }, data)
  tar.finalize()
  return await buffer(tar)
}

const index = (bytes: Buffer) => indexArchive(Readable.from([bytes]), 'x.tar')

describe('indexArchive()', () => {
  it('says where each file is, also behind long names and extended headers', async () => {
    const long = `${'d/'.repeat(80)}${'n'.repeat(150)}`
    const tar = pack()
    tar.entry({ name: 'a/', type: 'directory' })
    tar.entry({ name: './b' }, 'bytes of b')
    tar.entry({ name: long }, 'long')
    tar.entry({ name: 'ü', pax: { comment: 'x' } }, '')
    tar.entry({ name: 'link', type: 'symlink', linkname: 'b' })
    tar.finalize()
    const bytes = await buffer(tar)
    const entries = await index(bytes)
    expect([...entries.keys()]).toEqual(['b', long, 'ü', 'link'])
    const text = (name: string) => {
      const entry = entries.get(name)
      return entry?.type === 'file' ? bytes.toString('utf8', entry.offset, entry.offset + entry.size) : entry
    }
    expect([text('b'), text(long), text('ü')]).toEqual(['bytes of b', 'long', ''])
    expect(entries.get('link')).toEqual({ type: 'link', target: 'b', hard: false })
  })

  it.each<[string, readonly TarEntry[]]>([
    ['a name that goes up', [{ name: 'a/../../b', data: 'x' }]],
    ['a name that begins so', [{ name: '../b', data: 'x' }]],
    ['a link of such a name', [{ name: 'a/..', type: 'symlink' }]],
    ['an absolute name', [{ name: '/etc/passwd', data: 'x' }]],
    [
      'a file twice',
      [
        { name: 'a', data: 'x' },
        { name: './a', data: 'y' },
      ],
    ],
    [
      'a file and a link of one name',
      [
        { name: 'a', data: 'x' },
        { name: 'a', type: 'symlink' },
      ],
    ],
  ])('refuses %s', async (_, entries) => {
    await expect(index(await makeTar(entries))).rejects.toMatchObject({ code: 'ERR_ARCHIVE_INVALID' })
  })

  it('refuses what ends too early, has a broken header, or is no archive', async () => {
    const whole = await makeTar([{ name: 'a', data: 'x'.repeat(2000) }])
    const broken = Buffer.from(whole)
    broken.write('9', 150)
    for (const bytes of [
      whole.subarray(0, 1500),
      whole.subarray(0, 300),
      broken,
      Buffer.alloc(0),
      Buffer.alloc(1024),
      Buffer.from('x'.repeat(600)),
    ])
      await expect(index(bytes)).rejects.toMatchObject({ code: 'ERR_ARCHIVE_INVALID' })
  })

  it('passes failures of the source on as they are', async () => {
    const fault = Object.assign(new Error('cut'), { code: 'ECONNRESET' })
    const source = new Readable({
      read() {
        this.destroy(fault)
      },
    })
    await expect(indexArchive(source, 'x')).rejects.toBe(fault)
  })
})
