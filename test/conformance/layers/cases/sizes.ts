import { dir, entry, file, globalPax, gnuLong, header, pax, paxRecords } from '../archive.ts'
import type { LayerCase } from '../layer-case.ts'

const deep = Array.from({ length: 300 }, () => 'd').join('/')
const long = 'n'.repeat(255)

/** TAR-09 and TAR-12: what would take memory or inodes without end, as far as it fits an archive of a few megabytes. */
export const sizes: readonly LayerCase[] = [
  {
    name: 'TAR-09: a PAX header that claims 1 GiB',
    layer: [header('x', 'pax', 2 ** 30)],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-09: a PAX record that claims 1 GiB',
    layer: [entry('x', 'pax', `${2 ** 30} path=x\n`), file('f')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-09: a PAX header of 2 MiB',
    layer: [pax({ comment: 'x'.repeat(2 ** 21) }), file('f')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-09: a PAX header of half a megabyte',
    layer: [pax({ comment: 'x'.repeat(2 ** 19) }), file('f')],
    wants: ['file f'],
  },
  {
    name: 'TAR-09: 100,000 attributes of one file',
    layer: [
      entry('x', 'pax', paxRecords(Array.from({ length: 1e5 }, (_, at) => [`SCHILY.xattr.user.${at}`, '']))),
      file('f'),
    ],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-09: a global PAX header of 2 MiB',
    layer: [globalPax({ comment: 'x'.repeat(2 ** 21) }), file('f')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-09: a sparse map of 8 MiB',
    layer: [
      pax({
        'GNU.sparse.major': '1',
        'GNU.sparse.minor': '0',
        'GNU.sparse.realsize': '1',
        'GNU.sparse.name': 'f',
      }),
      file('f', `${2 ** 20}\n${'0\n0\n'.repeat(2 ** 20)}`),
    ],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-09: a name of 70,000 bytes',
    layer: [gnuLong('a/'.repeat(35_000)), file('f')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-09: a GNU long name of 2 MiB',
    layer: [gnuLong('a'.repeat(2 ** 21)), file('f')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-12: a component of 255 bytes',
    layer: [pax({ path: long }), file('f', 'x')],
    wants: [`file ${long} = x`],
  },
  {
    name: 'TAR-12: a component of 256 bytes',
    layer: [pax({ path: `${long}n` }), file('f', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-12: 16 components of 255 bytes',
    layer: [pax({ path: Array.from({ length: 16 }, () => long).join('/') }), file('f', 'x')],
    wants: [
      ...Array.from({ length: 15 }, (_, at) => `dir ${Array.from({ length: at + 1 }, () => long).join('/')}`),
      `file ${Array.from({ length: 16 }, () => long).join('/')} = x`,
    ],
  },
  {
    name: 'TAR-12: directories 300 deep',
    layer: [pax({ path: deep }), dir('f')],
    wants: Array.from({ length: 300 }, (_, at) => `dir ${deep.slice(0, 2 * at + 1)}`),
  },
  {
    name: 'TAR-12: directories 10,000 deep',
    layer: [pax({ path: 'd/'.repeat(10_000) }), dir('f')],
    wants: 'ERR_LAYER_INVALID',
  },
]
