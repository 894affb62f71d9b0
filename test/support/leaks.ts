import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

/** The forms in which a value may lie in a file: as it is, base64 (at each of its three offsets), hex, in a URL. */
function formsOf(value: string): readonly Buffer[] {
  const bytes = Buffer.from(value)
  const offsets = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
    // What depends on the bytes around the value is left out.
    return text.slice(Math.ceil((offset * 4) / 3), Math.floor(((offset + bytes.length) * 4) / 3) - 1)
  })
  const hex = bytes.toString('hex')
  const forms = [value, ...offsets, hex, hex.toUpperCase(), encodeURIComponent(value)]
  return [...new Set(forms)].map((form) => Buffer.from(form))
}

/**
 * Finds a value, in any of its forms, in the names and bytes of files below folders; gzip is looked into. An oracle for
 * secrets: what it finds is a leak.
 *
 * @returns the paths of the files
 */
export function findLeaks(value: string, folders: readonly string[]): readonly string[] {
  const forms = formsOf(value)
  const holds = (bytes: Buffer) => forms.some((form) => bytes.includes(form))
  const walk = (path: string): readonly string[] => {
    const stat = lstatSync(path)
    if (holds(Buffer.from(path))) return [path]
    if (stat.isDirectory()) return readdirSync(path).flatMap((name) => walk(join(path, name)))
    if (!stat.isFile()) return []
    const bytes = readFileSync(path)
    return holds(bytes) || holds(inflated(bytes)) ? [path] : []
  }
  return folders.flatMap(walk)
}

/** Whether a text has a value in any of its forms. */
export function leaksIn(text: string, value: string): boolean {
  return formsOf(value).some((form) => Buffer.from(text).includes(form))
}

function inflated(bytes: Buffer): Buffer {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return Buffer.alloc(0)
  try {
    return gunzipSync(bytes)
  } catch {
    return Buffer.alloc(0)
  }
}
