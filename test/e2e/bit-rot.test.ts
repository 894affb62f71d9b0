import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { damages, openRottingStore, type RottingStore, verifyStoreAt } from '../support/bit-rot.ts'

let store: RottingStore
beforeAll(async () => {
  store = await openRottingStore('bit-rot')
})
afterAll(() => store?.remove())

describe('a damaged file', () => {
  it('is one of each kind', () => {
    console.log(store.files)
  })
  it('x', async () => {
    for (const [kind, path] of Object.entries(store.files)) for (const [name, harm] of Object.entries(damages)) {
      const t0 = Date.now()
      const root = await store.copy()
      harm(join(root, path))
      const out: string[] = []
      try {
        const r = await verifyStoreAt(root)
        out.push(r.findings.map((f) => f.severity[0] + ' ' + f.kind + ':' + f.problem.slice(0, 60)).join(' | '))
        const r2 = await verifyStoreAt(root, true)
        out.push('rep=' + r2.sound)
        const r3 = await verifyStoreAt(root)
        out.push('again=' + r3.findings.length)
      } catch (e) { out.push('VERIFY ' + String(e)) }
      try {
        const b = await store.rebuild(root)
        out.push(`same=${b.image?.digest === store.digest} ran=${b.steps.executed}`)
      } catch (e) { out.push('BUILD ' + String(e)) }
      console.log(kind, name, out.join(' ; '), Date.now() - t0)
    }
  }, 600000)
})
