import { afterEach, expect, it } from 'vitest'
import { createRegistryClient } from './client.ts'
import { type Access, startFakeRegistry } from './testing/index.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function setUp(access: Access | undefined) {
  const registry = await startFakeRegistry({ access })
  const client = createRegistryClient({ sleep: async () => undefined })
  cleanups.push(() => client.close(), registry.stop)
  return { registry, client }
}

const user = { username: 'me', password: 'hunter22' }
const right = { type: 'basic', ...user } as const
const wrong = { type: 'basic', username: 'me', password: 'wrong-password' } as const

it.each([
  ['Basic', { type: 'basic', ...user }],
  ['Bearer', { type: 'bearer', user, tokens: new Set<string>() }],
] as const)('login() tells right from wrong where the registry wants %s', async (_, access) => {
  const { registry, client } = await setUp(access)
  expect(await client.login(registry.host, right)).toBe('accepted')
  await expect(client.login(registry.host, wrong)).rejects.toMatchObject({
    code: 'ERR_REGISTRY_AUTH',
    message: expect.not.stringContaining('wrong-password'),
  })
})

it('login() takes a refresh token', async () => {
  const { registry, client } = await setUp({
    type: 'bearer',
    user,
    refreshToken: 'refresh',
    tokens: new Set(),
  })
  expect(await client.login(registry.host, { type: 'identityToken', token: 'refresh' })).toBe('accepted')
  await expect(client.login(registry.host, { type: 'identityToken', token: 'other' })).rejects.toMatchObject({
    code: 'ERR_REGISTRY_AUTH',
  })
})

it('login() keeps nothing for later calls, and says where nobody asked', async () => {
  const { registry, client } = await setUp({ type: 'basic', ...user })
  await client.login(registry.host, right)
  await expect(client.listRepositories(registry.host)).rejects.toMatchObject({ code: 'ERR_REGISTRY_AUTH' })
  const open = await setUp(undefined)
  expect(await open.client.login(open.registry.host, wrong)).toBe('unasked')
})
