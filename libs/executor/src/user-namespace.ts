import type { IdMap } from '@tsbuild/native'
import { textOf } from './text-of.ts'

/** Owners of subordinate ids that are meant for this: ours, and the one that podman and buildah use. */
const owners = ['tsbuild', 'containers']

/** As many ids as an image may use. */
const length = 65_536

/** Where Debian's and Docker's ranges begin; used where nobody reserved one. */
const usualStart = 100_000

/** Where subordinate ids are granted. */
export interface SubordinateFiles {
  readonly subuid: string
  readonly subgid: string
}

/** The maps of `--userns=auto`: root and the ids above it are ids that nobody on this machine has. */
export function userNamespaceMap({ subuid, subgid }: SubordinateFiles): IdMap {
  const range = (path: string) => [{ inside: 0, outside: startOf(textOf(path)), length }]
  return { uids: range(subuid), gids: range(subgid) }
}

/** The first large enough range of one of {@link owners}, in their order. */
function startOf(text: string): number {
  const grants = text.split('\n').map((line) => /^([^:]+):(\d{1,10}):(\d{1,10})$/.exec(line.trim()))
  for (const owner of owners) {
    const grant = grants.find((found) => found?.[1] === owner && Number(found[3]) >= length)
    if (grant !== undefined) return Number(grant?.[2])
  }
  return usualStart
}
