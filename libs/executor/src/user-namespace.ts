import type { IdMap } from '@tsbuild/native'
import { textOf } from './text-of.ts'

/** Owners of subordinate ids that are meant for this: ours, and the one that podman and buildah use. */
const owners = ['tsbuild', 'containers']

/** As many ids as an image may use. */
const length = 65_536

/** Where Debian's and Docker's ranges begin; looked from where nobody reserved one. */
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

/** The first large enough range of one of {@link owners}, in their order; else one that is granted to nobody. */
function startOf(text: string): number {
  const grants = text.split('\n').flatMap((line) => {
    const [, owner, first, count] = /^([^:]+):(\d{1,10}):(\d{1,10})$/.exec(line.trim()) ?? []
    return owner === undefined ? [] : [{ owner, start: Number(first), end: Number(first) + Number(count) }]
  })
  for (const owner of owners) {
    const grant = grants.find((found) => found.owner === owner && found.end - found.start >= length)
    if (grant !== undefined) return grant.start
  }
  // A user who holds the ids could act on the processes that have them.
  const meets = (start: number, grant: (typeof grants)[number]) =>
    grant.start < start + length && start < grant.end
  return grants
    .toSorted((a, b) => a.start - b.start)
    .reduce((start, grant) => (meets(start, grant) ? grant.end : start), usualStart)
}
