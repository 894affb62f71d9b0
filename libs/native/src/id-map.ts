import type { IdMap, IdRange, OutcomeOf, SubordinateRange } from './protocol.ts'

/**
 * The id maps with which an ordinary user builds: the user becomes root, subordinate ids become 1 and up. Without
 * subordinate ids, or without the tools that may map them, only root exists inside.
 *
 * @param probe what {@link Native.probe} gave
 * @param egid effective group id of this process
 */
export function rootlessIdMap(probe: OutcomeOf<'probe'>, egid: number): IdMap {
  const mappable =
    probe.newuidmap !== null &&
    probe.newgidmap !== null &&
    probe.subuids.length > 0 &&
    probe.subgids.length > 0
  return {
    uids: ranges(probe.euid, mappable ? probe.subuids : []),
    gids: ranges(egid, mappable ? probe.subgids : []),
  }
}

function ranges(own: number, subordinate: readonly SubordinateRange[]): readonly IdRange[] {
  const result: IdRange[] = [{ inside: 0, outside: own, length: 1 }]
  let inside = 1
  for (const { start, length } of subordinate) {
    result.push({ inside, outside: start, length })
    inside += length
  }
  return result
}
