import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Damage,
  damages,
  expectedFindings,
  expectedUnverified,
  openRottingStore,
  type RottingStore,
  rot,
  rottingFiles,
} from '../support/bit-rot.ts'

let store: RottingStore
beforeAll(async () => {
  store = await openRottingStore('bit-rot-soak')
})
afterAll(() => store?.remove())

const cases = rottingFiles.flatMap((file) =>
  (Object.keys(damages) as Damage[]).map((damage) => [file, damage] as const),
)

/** ROT-01: every kind of file, damaged in every way. `test/e2e/bit-rot.test.ts` tries one way for each. */
describe('a damaged file of the store', () => {
  it.each(cases)('%s, %s: is found, mended and made again', async (file, damage) => {
    const { found, repaired, again, digest, unverified } = await rot(store, file, damage)
    expect(found).toEqual(expectedFindings(file, damage))
    expect(repaired).toMatchObject({ sound: true })
    expect(again.findings).toEqual([])
    expect(digest).toBe(store.digest)
    expect(unverified).toBe(expectedUnverified(file, damage, store.digest))
  })
})
