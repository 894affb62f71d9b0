import { join } from 'node:path'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { repository } from '../support/repository.ts'
import { listCases, readCase } from './support/case.ts'
import { checkCase } from './support/check-case.ts'
import { casesToUpdate, updateCase } from './support/update.ts'
import { openWorkshop, type Workshop } from './support/workshop.ts'

const root = join(repository, 'test/conformance/dockerfile')
const names = listCases(root)
const updates = casesToUpdate(process.env.CONFORMANCE_UPDATE)

let workshop: Workshop
beforeAll(async () => {
  workshop = await openWorkshop()
})
afterAll(() => workshop?.close())

describe('a Dockerfile', () => {
  it('has a case for everything that is to be updated', ({ expect }) => {
    expect([...updates.keys()].filter((name) => !names.includes(name))).toEqual([])
  })

  it.concurrent.for(names)('%s', async (name, { expect }) => {
    const folder = join(root, name)
    const one = updates.has(name) ? await updateCase(folder, updates.get(name), workshop) : readCase(folder)
    const { wanted, found } = await checkCase(one, workshop)
    expect(found).toEqual(wanted)
  })
})
