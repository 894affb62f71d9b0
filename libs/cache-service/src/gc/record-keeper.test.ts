import { digestBytes, digestHex } from '@tsbuild/digest'
import { memoryStore } from '@tsbuild/object-store/testing'
import { repositoryOfScope, type Scope } from '@tsbuild/trust'
import { describe, expect, it } from 'vitest'
import { recordObject } from '../layout.ts'
import { blobWorld, openService, recordOf, scopes, stepOf } from '../testing/index.ts'
import type { Holder, Retention } from './types.ts'

const never = new AbortController().signal
const linkKey = (repository: string, digest: string) => `links/${repository}/${digest.slice(7)}`
const retentionOf = (scope: Scope): Retention => ({ kind: 'cached', forMs: scope === scopes.pr ? 7 : 30 })

async function openWorld() {
  let nowMs = 1_750_000_000_000
  const now = () => nowMs
  const store = memoryStore({ now })
  const open = () => openService({ store, now, hasBlob: blobWorld(true).has, staleMs: 0 })
  const service = await open()
  const put = (name: string, scope: Scope) =>
    service.put([{ record: recordOf({ name, scope }), subject: '', mayWrite: () => true }])
  const holders = async (from = service) => {
    const found: Holder[] = []
    for await (const one of from.keeper({ linkKey, retentionOf }).holders(never)) found.push(one)
    return found
  }
  const advance = (ms: number) => {
    nowMs += ms
  }
  return { store, service, open, put, holders, advance, now }
}

describe('RecordService.keeper()', () => {
  it('holders() says what each record holds, how long it stays, and when it was used', async () => {
    const { service, put, holders, advance, now } = await openWorld()
    await put('a', scopes.main)
    await put('b', scopes.pr)
    const putMs = now()
    advance(3 * 3_600_000)
    await service.lookUp([scopes.main], [stepOf({ name: 'a' }).key])
    await service.maintain()
    const found = await holders()
    expect(found).toHaveLength(2)
    for (const [name, scope, usedMs] of [
      ['a', scopes.main, now()],
      ['b', scopes.pr, putMs],
    ] as const) {
      const digest = digestBytes(`blob ${name}`)
      expect(found).toContainEqual({
        key: recordObject({ scope, key: stepOf({ name }).key }),
        version: expect.any(String),
        modifiedMs: putMs,
        usedMs,
        holds: [`links/${repositoryOfScope(scope)}/${digestHex(digest)}`],
        retention: retentionOf(scope),
      })
    }
  })

  it('holders() reads records that no index knows, and passes over what is none', async () => {
    const { store, put, holders, open } = await openWorld()
    await put('a', scopes.main)
    for await (const { key } of store.list('record-')) await store.delete(key)
    const unread = await open()
    for await (const { key } of store.list('record-')) await store.delete(key)
    await store.cas('records/v1/x', null, Buffer.from('{}'))
    expect((await holders(unread)).map(({ key }) => key)).toEqual([
      recordObject({ scope: scopes.main, key: stepOf({ name: 'a' }).key }),
    ])
  })

  it('evict() removes for every process, and leaves what was stored again meanwhile', async () => {
    const { service, put, holders, open, advance, now } = await openWorld()
    const other = await open()
    await put('a', scopes.main)
    await put('b', scopes.main)
    const all = await holders()
    const seenMs = now()
    advance(10)
    await put('b', scopes.main)
    const gone = await service.keeper({ linkKey, retentionOf }).evict(all, seenMs, never)
    expect(gone).toEqual([recordObject({ scope: scopes.main, key: stepOf({ name: 'a' }).key })])
    const keys = ['a', 'b'].map((name) => stepOf({ name }).key)
    for (const one of [service, other]) expect(await one.has([scopes.main], keys)).toEqual([false, true])
  })
})
