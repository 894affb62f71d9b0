import { readFileSync } from 'node:fs'

/** The text of a file of the machine; empty where it cannot be read, as if nothing was configured. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
