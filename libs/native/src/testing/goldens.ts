import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** A file of `test/protocol`: one message as it stands on the wire. */
export interface Golden {
  /** Without `.json`. */
  readonly name: string
  readonly value: unknown
}

const folder = fileURLToPath(new URL('../../../../test/protocol', import.meta.url))

/** The goldens of one kind, by name. */
export function goldens(kind: 'envelope' | 'reply'): readonly Golden[] {
  return readdirSync(folder)
    .toSorted()
    .flatMap((file) => {
      const members = JSON.parse(readFileSync(`${folder}/${file}`, 'utf8')) as Record<string, unknown>
      return kind in members ? [{ name: file.replace(/\.json$/, ''), value: members[kind] }] : []
    })
}
