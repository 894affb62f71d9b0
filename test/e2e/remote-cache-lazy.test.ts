import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMemoryCache } from '../../libs/remote-cache/src/testing/memory-cache.ts'
import { type CacheMachine, openMachine } from '../support/cache-machines.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
const machines: CacheMachine[] = []

beforeAll(async () => {
  workspace = await openBusyboxWorkspace('remote-cache-lazy')
}, 120_000)

afterAll(async () => {
  await Promise.all(machines.map((machine) => machine.close()))
  await workspace.remove()
})

const machine = async (...args: Parameters<typeof openMachine> extends [unknown, ...infer R] ? R : never) => {
  const opened = await openMachine(workspace, ...args)
  machines.push(opened)
  return opened
}

const from = (...names: readonly string[]) => names.map((src) => ({ type: 'local', src }) as const)
const to = (name: string, mode: 'min' | 'max' = 'max') => [{ type: 'local', dest: name, mode } as const]

/** Whiteouts, opaque directories, links to files below, times: all that a layer can say of what is under it. */
const project = {
  Dockerfile: [
    'FROM busybox:test AS tools',
    'RUN mkdir -p /opt/tools && head -c 300000 /dev/urandom > /opt/tools/blob && echo tool > /opt/tools/run',
    'RUN head -c 100000 /dev/urandom > /opt/unused && date +%s%N > /opt/when',
    'FROM busybox:test',
    'RUN mkdir -p /app/sub/deep && echo one > /app/one && echo two > /app/sub/two && head -c 200000 /dev/urandom > /app/random',
    'RUN rm -r /app/sub && mkdir /app/sub && echo new > /app/sub/new && ln /app/one /app/linked && chmod 700 /app && rm /etc/passwd',
    'COPY --from=tools /opt/tools /app/tools',
    'COPY file.txt /app/file.txt',
    'RUN mv /app/one /app/moved && touch -d @1500000000 /app/old && ls -la /app > /app/listing',
  ].join('\n'),
  'file.txt': 'a file\n',
}

describe('a build with caches elsewhere', { timeout: 120_000 }, () => {
  it('finds all steps on a machine that has none of them, and gives the same image', async () => {
    const context = workspace.context('whole', project)
    const cache = createMemoryCache('/cache')
    const one = await machine('one', [cache])
    const cold = await one.build({ context, tags: ['app:1'], cacheTo: to('/cache') })
    expect(one.ran()).toHaveLength(7)
    const other = await machine('other', [cache])
    const warm = await other.build({ context, tags: ['app:1'], cacheFrom: from('/cache') })
    expect(other.ran()).toEqual([])
    expect(other.found()).toHaveLength(5)
    expect(warm.image?.digest).toBe(cold.image?.digest)
    expect(cache.calls.filter((call) => call === 'plan')).toHaveLength(1)
    expect(cache.calls.filter((call) => call === 'find')).toHaveLength(0)
    // Again, and without the cache: what was found is this machine's own.
    const again = await other.build({ context, tags: ['app:1'] })
    expect([other.ran(), again.image?.digest]).toEqual([[], cold.image?.digest])
  })
})
