import { describe, expect, it } from 'vitest'
import { dockerConfigCredentials, firstCredentials } from './docker-config.ts'
import { editDockerConfig } from './edit-docker-config.ts'

const credentials = { type: 'basic', username: 'me', password: 'p:w' } as const
const auth = Buffer.from('me:p:w').toString('base64')
const never = async () => {
  throw new Error('a helper was asked')
}

describe('editDockerConfig()', () => {
  it('makes a file where there is none, with tabs as docker does', () => {
    expect(editDockerConfig(undefined, 'a.io:5000', credentials, 'f')).toEqual({
      text: `{\n\t"auths": {\n\t\t"a.io:5000": {\n\t\t\t"auth": "${auth}"\n\t\t}\n\t}\n}\n`,
      helper: undefined,
      known: false,
    })
  })

  it.each([
    ['a.io', credentials],
    ['docker.io', credentials],
    ['docker.io', { type: 'identityToken', token: 't' } as const],
  ])('what it writes for %s is read back', async (registry, written) => {
    const { text = '' } = editDockerConfig('{"x":1}', registry, written, 'f')
    expect(await dockerConfigCredentials(text, never)(registry)).toEqual(written)
    const { text: without, known } = editDockerConfig(text, registry, undefined, 'f')
    expect(JSON.parse(without ?? '')).toEqual({ x: 1, auths: {} })
    expect(known).toBe(true)
  })

  it('leaves entries of paths and of other hosts', () => {
    const auths = { 'a.io/team': { auth }, 'a.io': { auth }, 'a.io:5000': { auth } }
    const { text } = editDockerConfig(JSON.stringify({ auths }), 'a.io', undefined, 'f')
    expect(Object.keys(JSON.parse(text ?? '').auths)).toEqual(['a.io/team', 'a.io:5000'])
  })

  it('keeps nothing but the name where a helper keeps the rest', () => {
    const config = { credsStore: 'pass', credHelpers: { 'b.io': 'ecr-login' } }
    const edit = (registry: string) => editDockerConfig(JSON.stringify(config), registry, credentials, 'f')
    expect(edit('docker.io')).toMatchObject({
      helper: { name: 'pass', server: 'https://index.docker.io/v1/' },
    })
    expect(edit('b.io')).toMatchObject({ helper: { name: 'ecr-login', server: 'b.io' } })
    expect(edit('b.io').text).not.toContain(auth)
  })

  it('keeps members that have odd names', () => {
    const text = '{"__proto__":{"x":1},"auths":{"__proto__":{"auth":"eA=="}},"constructor":2}'
    const edited = editDockerConfig(text, 'a.io', credentials, 'f').text ?? ''
    expect(edited).toContain('"__proto__": {\n\t\t"x": 1\n\t}')
    expect(edited).toContain('"constructor": 2')
    expect(edited.match(/__proto__/g)).toHaveLength(2)
  })

  it.each(['', '[]', '1', '{"auths":'])('refuses %j, naming the file', (text) => {
    expect(() => editDockerConfig(text, 'a.io', credentials, '/home/x.json')).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG', hints: [expect.stringContaining('/home/x.json')] }),
    )
  })
})

describe('credentials of a path', () => {
  const authOf = (username: string) => ({ auth: Buffer.from(`${username}:p`).toString('base64') })
  const auths = {
    'a.io/team/app': authOf('app'),
    'a.io/team': authOf('team'),
    'a.io': authOf('all'),
    'b.io/only': authOf('only'),
    'docker.io/library': authOf('library'),
  }
  const find = dockerConfigCredentials(JSON.stringify({ auths }), never)

  it.each([
    ['a.io', 'team/app', 'app'],
    ['a.io', 'team/app/sub', 'app'],
    ['a.io', 'team/application', 'team'],
    ['a.io', 'teams/app', 'all'],
    ['a.io', undefined, 'all'],
    ['b.io', 'only/x', 'only'],
    ['b.io', 'other', undefined],
    ['b.io', undefined, undefined],
    ['docker.io', 'library/debian', 'library'],
    ['docker.io', 'me/debian', undefined],
  ])('for %s and %s are of %s', async (registry, repository, username) => {
    const found = await find(registry, repository)
    expect(found?.type === 'basic' ? found.username : undefined).toBe(username)
  })

  it('a helper is asked once for each registry, whatever the repositories', async () => {
    const asked: string[] = []
    const ask = async (helper: string, server: string) => {
      asked.push(`${helper} ${server}`)
      return credentials
    }
    const of = dockerConfigCredentials('{"credsStore":"x"}', ask)
    for (const repository of ['a', 'b', undefined]) await of('a.io', repository)
    await of('b.io', 'a')
    expect(asked).toEqual(['x a.io', 'x b.io'])
  })

  it('firstCredentials() takes the first that has some', async () => {
    const none = async () => undefined
    expect(await firstCredentials([none, async () => credentials, never])('a.io')).toBe(credentials)
    expect(await firstCredentials([none])('a.io')).toBeUndefined()
  })
})
