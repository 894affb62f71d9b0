import { Readable } from 'node:stream'
import { pack } from 'tar-stream'
import { describe, expect, it } from 'vitest'
import { compareLayers } from './compare-layers.ts'
import { compareValues } from './compare-values.ts'
import { readLayer } from './read-layer.ts'

interface Written {
  readonly name: string
  readonly text?: string
  readonly type?: 'file' | 'directory' | 'symlink' | 'link' | 'fifo'
  readonly mode?: number
  readonly mtime?: number
  readonly linkname?: string
  readonly pax?: Record<string, string>
}

function tarOf(...entries: readonly Written[]): Readable {
  const stream = pack()
  for (const { text = '', mtime = 0, ...header } of entries)
    stream.entry({ ...header, mtime: new Date(mtime * 1000) }, text)
  stream.finalize()
  return Readable.from(stream)
}

const layer = (...entries: readonly Written[]) => readLayer(tarOf(...entries))
const differences = async (before: readonly Written[], after: readonly Written[]) =>
  compareLayers(await layer(...before), await layer(...after))

describe('readLayer()', () => {
  it('lists files with their content, owner, times and attributes', async () => {
    const [file, link] = await layer(
      {
        name: './a/b',
        text: 'x',
        mode: 0o4755,
        pax: { 'SCHILY.xattr.user.k': 'v', uid: '4000000', mtime: '5.5' },
      },
      { name: 'c', type: 'link', linkname: 'a/b' },
    )
    expect(file).toMatchObject({
      path: 'a/b',
      mode: 0o4755,
      uid: 4_000_000,
      size: 1,
      mtime: 5.5,
      content: 'sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881',
      xattrs: { 'user.k': 'dg==' },
    })
    expect(link).toMatchObject({ path: 'c', type: 'link', target: 'a/b', content: '', size: 0 })
  })

  it.each([
    ['no tar', Buffer.alloc(1024, 'x')],
    ['a tar that ends early', Buffer.concat([Buffer.from('name'), Buffer.alloc(300)])],
  ])('refuses %s', async (_, bytes) => {
    await expect(readLayer(Readable.from([bytes]))).rejects.toMatchObject({ code: 'ERR_LAYER_INVALID' })
  })
})

describe('compareLayers()', () => {
  it('says nothing of layers that are the same', async () => {
    expect(await differences([{ name: 'a', text: '1' }], [{ name: './a', text: '1' }])).toEqual([])
  })

  it('names each file that came, went or changed, and what of it', async () => {
    const before = [
      { name: 'gone' },
      { name: 'same', text: '1' },
      { name: 'x', text: '1', mtime: 1, mode: 0o644 },
    ]
    const after = [
      { name: 'new' },
      { name: 'same', text: '1' },
      { name: 'x', text: '2', mtime: 2, mode: 0o600 },
    ]
    expect(await differences(before, after)).toEqual([
      { path: 'gone', kind: 'removed', fields: [] },
      { path: 'new', kind: 'added', fields: [] },
      {
        path: 'x',
        kind: 'changed',
        fields: [
          { name: 'mode', before: '0644', after: '0600' },
          { name: 'mtime', before: '1970-01-01T00:00:01Z', after: '1970-01-01T00:00:02Z' },
          {
            name: 'content',
            before: 'sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b',
            after: 'sha256:d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35',
          },
        ],
      },
    ])
  })

  it('tells of another order only where nothing else differs', async () => {
    const [a, b] = [{ name: 'a' }, { name: 'b' }]
    expect(await differences([a, b], [b, a])).toEqual([
      { path: 'a', kind: 'moved', fields: [] },
      { path: 'b', kind: 'moved', fields: [] },
    ])
    expect(await differences([a, b], [b])).toEqual([{ path: 'a', kind: 'removed', fields: [] }])
  })

  it('shows attributes and times beyond the calendar', async () => {
    const found = await differences(
      [{ name: 'x', pax: { 'SCHILY.xattr.user.k': 'v' } }],
      [{ name: 'x', pax: { mtime: '99999999999999' } }],
    )
    expect(found[0]?.fields).toEqual([
      { name: 'mtime', before: '1970-01-01T00:00:00Z', after: '99999999999999 s' },
      { name: 'xattr user.k', before: 'dg==', after: undefined },
    ])
  })
})

describe('compareValues()', () => {
  it('gives the path of each member that differs', () => {
    const before = { created: 'a', config: { Env: ['A=1', 'B=1'], Labels: null }, same: [1, { x: 1 }] }
    const after = { created: 'b', config: { Env: ['A=1', 'B=2', 'C=3'], Labels: {} }, same: [1, { x: 1 }] }
    expect(compareValues(before, after)).toEqual([
      { name: 'created', before: 'a', after: 'b' },
      { name: 'config.Env[1]', before: 'B=1', after: 'B=2' },
      { name: 'config.Env[2]', before: undefined, after: 'C=3' },
      { name: 'config.Labels', before: 'null', after: '{}' },
    ])
  })

  it('knows a list from an object, and looks at no inherited member', () => {
    expect(compareValues({ x: [] }, { x: {} })).toEqual([{ name: 'x', before: '[]', after: '{}' }])
    expect(compareValues({ toString: 1 }, {})).toEqual([{ name: 'toString', before: '1', after: undefined }])
  })
})
