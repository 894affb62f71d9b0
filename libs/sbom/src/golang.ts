import { formatPackageUrl } from '@tsbuild/oci'
import { lines } from './paragraphs.ts'
import type { Package, Source } from './types.ts'

/** What the section begins with. */
const magic = Buffer.from('\xff Go buildinf:', 'latin1')

/** Where the texts begin, after the magic and two bytes. */
const textStart = 32

/** Markers of 16 bytes stand before and after the list of modules. */
const markerLength = 16

/**
 * Reads the modules that a Go program was made of from its section `.go.buildinfo`. Programs of Go before 1.18 have only pointers
 * there.
 *
 * @see https://pkg.go.dev/debug/buildinfo
 */
export function* readGoBuildInfo({ path, bytes, note }: Source): Generator<Package> {
  const start = bytes.indexOf(magic)
  if (start < 0) return
  const info = bytes.subarray(start)
  if (((info[15] ?? 0) & 2) === 0)
    return note(`The modules of ${path} were not read: it was built by Go before 1.18.`)
  const version = readText(info, textStart)
  const modules = version && readText(info, version.end)
  if (version === undefined || modules === undefined) return note(`The modules of ${path} are damaged.`)
  const [, release] = /^go(\d[\w.]*)/.exec(version.text) ?? []
  if (release !== undefined) yield goModule('stdlib', release, path)
  yield* readModules(modules.bytes.subarray(markerLength, -markerLength).toString('utf8'), path)
}

function* readModules(text: string, path: string): Generator<Package> {
  let last: Package | undefined
  for (const line of lines(text)) {
    const [kind, name = '', written = ''] = line.split('\t')
    if ((kind !== 'mod' && kind !== 'dep' && kind !== '=>') || name === '') continue
    // What was built from a checkout has no version.
    const version = written === '(devel)' ? '' : written
    if (kind !== '=>') {
      if (last !== undefined) yield last
      last = goModule(name, version, path)
    } else if (version !== '') {
      // It stands below the module that it stands for; a directory has no name that anyone knows.
      last = goModule(name, version, path)
    }
  }
  if (last !== undefined) yield last
}

function goModule(name: string, version: string, location: string): Package {
  const at = name.lastIndexOf('/')
  const purl = formatPackageUrl({
    type: 'golang',
    namespace: name.slice(0, Math.max(at, 0)).toLowerCase(),
    name: name.slice(at + 1).toLowerCase(),
    version,
  })
  return { type: 'golang', name, version, purl, location }
}

/** A length in groups of seven bits, then as many bytes. */
function readText(bytes: Buffer, start: number) {
  let length = 0
  let shift = 0
  for (let at = start; at < bytes.length && shift <= 28; at++) {
    const byte = bytes[at] ?? 0
    length += (byte & 0x7f) * 2 ** shift
    shift += 7
    if (byte >= 0x80) continue
    const end = at + 1 + length
    if (end > bytes.length) return undefined
    const text = bytes.subarray(at + 1, end)
    return { bytes: text, text: text.toString('utf8'), end }
  }
  return undefined
}
