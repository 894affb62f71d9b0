import { inflateSync } from 'node:zlib'
import { formatPackageUrl } from '@tsbuild/oci'
import { isRecord, parseJson } from '@tsbuild/shape'
import { lines } from './paragraphs.ts'
import type { Package, Source } from './types.ts'

/** The list of a program with thousands of crates has some hundred KB. */
const maxListBytes = 8 * 1024 * 1024

/**
 * Reads the section `.dep-v0` that `cargo auditable` leaves in a program: the crates that run in it, not those that built it.
 *
 * @see https://github.com/rust-secure-code/cargo-auditable/blob/master/PARSING.md
 */
export function* readCargoAuditable({ path, bytes, note }: Source): Generator<Package> {
  const list = inflate(bytes)
  const value = list === undefined ? undefined : parseJson(list.toString('utf8'))
  if (!isRecord(value) || !Array.isArray(value.packages)) return note(`The crates of ${path} are damaged.`)
  for (const entry of value.packages) {
    if (!isRecord(entry) || entry.kind === 'build') continue
    const { name, version } = entry
    if (typeof name === 'string' && typeof version === 'string') yield crate(name, version, path)
  }
}

function inflate(bytes: Buffer): Buffer | undefined {
  try {
    return inflateSync(bytes, { maxOutputLength: maxListBytes })
  } catch {
    return undefined
  }
}

/**
 * Reads the crates of a `Cargo.lock`: tables of texts, of which name, version, source and checksum count. Those without a source
 * are the project's own.
 */
export function* readCargoLock({ path, bytes }: Source): Generator<Package> {
  let fields: Map<string, string> | undefined
  const finish = function* (): Generator<Package> {
    const name = fields?.get('name')
    const version = fields?.get('version')
    const checksum = fields?.get('checksum')
    if (name === undefined || version === undefined || fields?.get('source') === undefined) return
    const checksums =
      checksum !== undefined && /^[0-9a-f]{64}$/.test(checksum)
        ? [{ algorithm: 'SHA256' as const, value: checksum }]
        : undefined
    yield { ...crate(name, version, path), checksums }
  }
  for (const line of lines(bytes.toString('utf8'))) {
    if (line.startsWith('[')) {
      yield* finish()
      fields = line.trim() === '[[package]]' ? new Map() : undefined
    } else {
      const [, name = '', value = ''] = /^(\w+) = "([^"\\]*)"$/.exec(line) ?? []
      if (name !== '') fields?.set(name, value)
    }
  }
  yield* finish()
}

function crate(name: string, version: string, location: string): Package {
  return { type: 'cargo', name, version, purl: formatPackageUrl({ type: 'cargo', name, version }), location }
}
