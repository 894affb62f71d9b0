import { describe, expect, it } from 'vitest'
import { dockerConfigCredentials } from './docker-config.ts'

describe('dockerConfigCredentials()', () => {
  const auth = Buffer.from('me:p:w').toString('base64')
  const never = async () => {
    throw new Error('a helper was asked')
  }

  it.each([
    ['https://index.docker.io/v1/', 'docker.io'],
    ['docker.io', 'docker.io'],
    ['https://ghcr.io', 'ghcr.io'],
    ['localhost:5000', 'localhost:5000'],
  ])('finds %s for %s', async (key, registry) => {
    const find = dockerConfigCredentials(JSON.stringify({ auths: { [key]: { auth } } }), never)
    expect(await find(registry)).toEqual({ type: 'basic', username: 'me', password: 'p:w' })
    expect(await find('ghcr.io.evil.com')).toBeUndefined()
  })

  it('reads user name and password, and prefers an identity token', async () => {
    const auths = {
      a: { username: 'u', password: 'p' },
      b: { auth, identitytoken: 'i' },
      c: {},
      d: { auth: '!!' },
    }
    const find = dockerConfigCredentials(JSON.stringify({ auths }), never)
    expect(await find('a')).toEqual({ type: 'basic', username: 'u', password: 'p' })
    expect(await find('b')).toEqual({ type: 'identityToken', token: 'i' })
    expect(await find('c')).toBeUndefined()
    expect(await find('d')).toBeUndefined()
  })

  it('asks the helper of the registry, else the store, else reads the file', async () => {
    const asked: string[] = []
    const ask = async (helper: string, server: string) => {
      asked.push(`${helper} ${server}`)
      return helper === 'none' ? undefined : ({ type: 'basic', username: helper, password: 'x' } as const)
    }
    const config = {
      auths: { 'c.io': { auth } },
      credHelpers: { 'a.io': 'ecr-login', 'c.io': 'none' },
      credsStore: 'pass',
    }
    const find = dockerConfigCredentials(JSON.stringify(config), ask)
    expect(await find('a.io')).toMatchObject({ username: 'ecr-login' })
    expect(await find('docker.io')).toMatchObject({ username: 'pass' })
    expect(await find('c.io')).toMatchObject({ username: 'me' })
    expect(asked).toEqual(['ecr-login a.io', 'pass https://index.docker.io/v1/', 'none c.io'])
  })

  it.each(['../../bin/sh', '/bin/sh', 'A', '', 'a b', '-x', 'a/b', `${'a'.repeat(65)}`])(
    'refuses the helper name %j (REG-09)',
    async (helper) => {
      const find = dockerConfigCredentials(JSON.stringify({ credHelpers: { 'a.io': helper } }))
      const outcome = find('a.io')
      if (helper === '') expect(await outcome).toBeUndefined()
      else await expect(outcome).rejects.toMatchObject({ code: 'ERR_CONFIG' })
    },
  )

  it('says which helper is not installed', async () => {
    const find = dockerConfigCredentials('{"credsStore":"tsbuild-missing"}')
    await expect(find('a.io')).rejects.toMatchObject({
      code: 'ERR_TOOL_MISSING',
      message: expect.stringContaining('docker-credential-tsbuild-missing'),
    })
  })

  it.each(['', '[]', 'null', '{"auths":'])('refuses %j without quoting it', (text) => {
    expect(() => dockerConfigCredentials(text)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }))
  })
})
