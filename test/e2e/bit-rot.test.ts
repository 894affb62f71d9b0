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
  store = await openRottingStore('bit-rot')
})
afterAll(() => store?.remove())

const names = Object.keys(damages) as Damage[]
/** Of the table that `npm run test:soak` goes through, one way to be damaged for each file, and each way for some. */
const cases = rottingFiles.map((file, index) => [file, names[index % names.length] as Damage] as const)

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
