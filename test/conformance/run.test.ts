import { join } from 'node:path'
import { afterAll, describe, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { repository } from '../support/repository.ts'
import { listCases, readCase } from './support/case.ts'
import { checkCase } from './support/check-case.ts'
import { casesToUpdate, updateCase } from './support/update.ts'
import { shareWorkshop } from './support/workshop.ts'

const root = join(repository, 'test/conformance/dockerfile')
const names = listCases(root)
const updates = casesToUpdate(process.env.CONFORMANCE_UPDATE)

const workshop = shareWorkshop()
afterAll(workshop.close)

describe('a Dockerfile', () => {
  it('has a case for everything that is to be updated', ({ expect }) => {
    expect([...updates.keys()].filter((name) => !names.includes(name))).toEqual([])
  })

  it.concurrent.for(names)('%s', async (name, context) => {
    const folder = join(root, name)
    if (updates.has(name) || readCase(folder).want.kind !== 'instructions') needs(context, 'root')
    const one = updates.has(name) ? await updateCase(folder, updates.get(name), workshop) : readCase(folder)
    const { wanted, found } = await checkCase(one, workshop)
    context.expect(found).toEqual(wanted)
  })
})
