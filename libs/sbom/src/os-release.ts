import type { OsRelease } from './types.ts'

/**
 * Reads `os-release`: assignments as a shell has them, without expansions.
 *
 * @see os-release(5)
 */
export function parseOsRelease(text: string): OsRelease {
  const values = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [, name, written = ''] = /^\s*([A-Z0-9_]+)=(.*)$/.exec(line) ?? []
    if (name !== undefined && !values.has(name)) values.set(name, unquote(written.trim()))
  }
  return {
    id: (values.get('ID') ?? '').toLowerCase(),
    versionId: values.get('VERSION_ID') ?? '',
    prettyName: values.get('PRETTY_NAME') ?? '',
  }
}

function unquote(written: string): string {
  const [, quoted] = /^"((?:[^"\\]|\\.)*)"|^'[^']*'/.exec(written) ?? []
  if (quoted !== undefined) return quoted.replace(/\\(.)/g, '$1')
  return written.startsWith("'") ? written.slice(1, -1) : written
}

/** `debian-12`, for the package URLs of its packages; undefined where it has no name. */
export function distroOf({ id, versionId }: OsRelease): string | undefined {
  if (id === '') return undefined
  return versionId === '' ? id : `${id}-${versionId}`
}
