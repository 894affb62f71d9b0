import { describe, expect, it } from 'vitest'
import { rootlessIdMap } from './id-map.ts'
import type { OutcomeOf } from './protocol.ts'

describe('rootlessIdMap()', () => {
  const probe = {
    op: 'probe',
    protocol: 1,
    kernel: '6.18.0',
    euid: 1000,
    overlay: true,
    userNamespace: true,
    newuidmap: '/usr/bin/newuidmap',
    newgidmap: '/usr/bin/newgidmap',
    subuids: [
      { start: 100_000, length: 65_536 },
      { start: 300_000, length: 10 },
    ],
    subgids: [{ start: 200_000, length: 1000 }],
    cgroups: [],
    pasta: null,
    slirp4netns: null,
    interpreters: [],
    seccomp: true,
    missing: [],
  } as const satisfies OutcomeOf<'probe'>

  it('puts the subordinate ids above the user, one range after the other', () => {
    expect(rootlessIdMap(probe, 1001)).toEqual({
      uids: [
        { inside: 0, outside: 1000, length: 1 },
        { inside: 1, outside: 100_000, length: 65_536 },
        { inside: 65_537, outside: 300_000, length: 10 },
      ],
      gids: [
        { inside: 0, outside: 1001, length: 1 },
        { inside: 1, outside: 200_000, length: 1000 },
      ],
    })
  })

  it.each([
    ['newuidmap', { newuidmap: null }],
    ['newgidmap', { newgidmap: null }],
    ['subordinate user ids', { subuids: [] }],
    ['subordinate group ids', { subgids: [] }],
  ])('maps the user alone when there are no %s', (_, lack) => {
    expect(rootlessIdMap({ ...probe, ...lack }, 1001)).toEqual({
      uids: [{ inside: 0, outside: 1000, length: 1 }],
      gids: [{ inside: 0, outside: 1001, length: 1 }],
    })
  })
})
