import { execFileSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readGitRemote } from '@tsbuild/dockerfile'
import { temporaryDirectory } from '@tsbuild/store/testing'
import { describe, expect, it } from 'vitest'
import type { SecretSource } from '../remote-source.ts'
import { type GitFixture, openGitFixture } from '../testing/git-fixture.ts'
import type { GitServerOptions } from '../testing/git-server.ts'
import { findProgram } from '../testing/programs.ts'
import { accessTo } from './credentials.ts'

const canary = 'CANARY-f00dfeed'
const basic = (user: string, password: string) =>
  `basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
const tokenHeader = basic('x-access-token', canary)

function secretsOf(values: Readonly<Record<string, string>>): SecretSource {
  return async (id) => (values[id] === undefined ? undefined : Buffer.from(values[id]))
}

/** Asks for credentials where there are none, as servers of private repositories do. */
const guard: GitServerOptions['intercept'] = ({ authorization }, response) => {
  if (authorization !== undefined) return false
  response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end()
  return true
}

const remoteOf = (text: string) => {
  const remote = readGitRemote(text)
  if (typeof remote === 'string') throw new Error(remote)
  return remote
}

const sent = (fixture: GitFixture) => [
  ...new Set(fixture.server.requests.map(({ authorization }) => authorization)),
]

describe('auth', { timeout: 60_000 }, () => {
  it.each([
    ['GIT_AUTH_TOKEN', tokenHeader],
    ['GIT_AUTH_TOKEN.127.0.0.1', tokenHeader],
    ['GIT_AUTH_HEADER', `Bearer ${canary}`],
    ['GIT_AUTH_HEADER.127.0.0.1', `Bearer ${canary}`],
  ])('the secret %s goes with every request', async (id, header) => {
    const value = id.includes('HEADER') ? `Bearer ${canary}\n` : `${canary}\n`
    const fixture = await openGitFixture({
      intercept: guard,
      sources: { secrets: secretsOf({ [id]: value }) },
    })
    fixture.repository('r').commit({ a: 'a' })
    await fixture.fetch()
    expect(sent(fixture)).toEqual([header])
  })

  it('that of the host with its port comes before the host alone, and both before the general one', async () => {
    const ids = [
      'GIT_AUTH_TOKEN',
      'GIT_AUTH_HEADER',
      'GIT_AUTH_TOKEN.h',
      'GIT_AUTH_HEADER.h',
      'GIT_AUTH_HEADER.h:8443',
    ]
    const remote = remoteOf('https://H:8443/r.git')
    for (const [index, id] of [...ids].reverse().entries()) {
      const left = Object.fromEntries(
        ids.slice(0, ids.length - index).map((one) => [one, `secret of ${one}`]),
      )
      const { config } = await accessTo(remote, remote, { secrets: secretsOf(left) })
      const value = config[0]?.[1] ?? ''
      const text = value.includes('basic ')
        ? Buffer.from(value.split(' ').at(-1) ?? '', 'base64').toString()
        : value
      expect(text).toContain(`secret of ${id}`)
    }
  })

  it('user name and password of the URL come before secrets', async () => {
    const fixture = await openGitFixture({
      intercept: guard,
      sources: {
        secrets: secretsOf({ GIT_AUTH_TOKEN: 'other' }),
        credentials: (remote) =>
          remote.endsWith('/r.git') ? { username: 'me', password: canary } : undefined,
      },
    })
    fixture.repository('r').commit({ a: 'a' })
    await fixture.fetch()
    expect(sent(fixture)).toEqual([basic('me', canary)])
  })

  it('without credentials the error says which secret would help', async () => {
    const fixture = await openGitFixture({ intercept: guard })
    const error = await fixture.fetch().catch((caught: unknown) => caught)
    expect(error).toMatchObject({
      code: 'ERR_GIT_FAILED',
      hints: [expect.stringContaining(`GIT_AUTH_TOKEN.${new URL(fixture.server.origin).host}`)],
    })
  })

  it('ERR_SECRET for a secret that would break out of its header', async () => {
    const fixture = await openGitFixture({ sources: { secrets: secretsOf({ GIT_AUTH_HEADER: 'a\nX: b' }) } })
    await expect(fixture.fetch()).rejects.toMatchObject({ code: 'ERR_SECRET' })
    expect(fixture.server.requests).toEqual([])
  })

  it('secrets are not sent over http to other machines, credentials of the URL are', async () => {
    const secrets = secretsOf({ GIT_AUTH_TOKEN: canary, 'GIT_AUTH_TOKEN.h.example': canary })
    const remote = remoteOf('http://h.example/r.git')
    expect(await accessTo(remote, remote, { secrets })).toMatchObject({
      config: [],
      hints: [expect.stringContaining('https')],
    })
    const own = remoteOf('http://me:pw@h.example/r.git')
    expect((await accessTo(own, own, { secrets })).config).toContainEqual([
      'http.http://h.example/r.git.extraHeader',
      `Authorization: ${basic('me', 'pw')}`,
    ])
  })

  it('a general secret is for the host that was asked for, and for no submodule elsewhere', async () => {
    const secrets = secretsOf({ GIT_AUTH_TOKEN: canary })
    const root = remoteOf('https://h.example/r.git')
    const configOf = async (text: string) => (await accessTo(remoteOf(text), root, { secrets })).config
    expect(await configOf('https://h.example/o/lib.git')).toHaveLength(2)
    expect(await configOf('https://evil.example/lib.git')).toEqual([])
    expect(await configOf('https://h.example:8443/lib.git')).toEqual([])
    expect(await configOf('http://h.example/lib.git')).toEqual([])
  })
})

describe('credentials', { timeout: 60_000 }, () => {
  const redirectTo = async () => {
    const other = await openGitFixture()
    other.repository('r').commit({ a: 'other' })
    const intercept: GitServerOptions['intercept'] = ({ url }, response) => {
      response
        .writeHead(302, { location: `${other.server.origin.replace('127.0.0.1', 'localhost')}${url}` })
        .end()
      return true
    }
    return { other, intercept }
  }

  it('do not follow a redirect; without any it is followed', async () => {
    const { other, intercept } = await redirectTo()
    const open = await openGitFixture({ intercept })
    expect(readFileSync(join((await open.fetch()).path, 'a'), 'utf8')).toBe('other')
    const asked = other.server.requests.length
    const closed = await openGitFixture({
      intercept,
      sources: { secrets: secretsOf({ GIT_AUTH_TOKEN: canary }) },
    })
    await expect(closed.fetch()).rejects.toMatchObject({
      code: 'ERR_GIT_FAILED',
      hints: [expect.stringContaining('redirects')],
    })
    expect(other.server.requests).toHaveLength(asked)
  })

  it('are in no argument, no error, no kept .git, and nowhere in the store', async () => {
    const folder = temporaryDirectory('bin-')
    const log = join(folder, 'arguments')
    writeFileSync(
      join(folder, 'git'),
      `#!/bin/sh\nprintf '%s\\n' "$*" >> ${log}\nexec ${findProgram('git')} "$@"\n`,
    )
    chmodSync(join(folder, 'git'), 0o755)
    const fixture = await openGitFixture({
      intercept: guard,
      sources: {
        secrets: secretsOf({ GIT_AUTH_TOKEN: canary }),
        env: { PATH: `${folder}:${process.env.PATH}` },
      },
    })
    fixture.repository('r').commit({ a: 'a' })
    await fixture.fetch({ keepGitDir: true })
    expect(sent(fixture)).toEqual([tokenHeader])
    const encoded = Buffer.from(`x-access-token:${canary}`).toString('base64')
    expect(readFileSync(log, 'utf8')).toContain('fetch')
    expect(readFileSync(log, 'utf8')).not.toMatch(new RegExp(`${canary}|${encoded}`))
    const found = execFileSync('sh', [
      '-c',
      `grep -rlE '${canary}|${encoded}' "$1" || true`,
      'sh',
      fixture.store.root,
    ])
    expect(found.toString()).toBe('')
  })

  it('are taken out of what a server says', async () => {
    const said = `ERR you sent ${tokenHeader}, that is ${canary} \u001b[31mred`
    const fixture = await openGitFixture({
      intercept: ({ url }, response) => {
        response.setHeader('content-type', 'application/x-git-upload-pack-advertisement')
        const line = (text: string) => `${(text.length + 4).toString(16).padStart(4, '0')}${text}`
        response.end(
          url.includes('info/refs') ? `${line('# service=git-upload-pack\n')}0000${line(said)}` : '',
        )
        return true
      },
      sources: { secrets: secretsOf({ GIT_AUTH_TOKEN: canary }) },
    })
    const error = await fixture.fetch().catch((caught: unknown) => caught)
    expect(error).toMatchObject({
      code: 'ERR_GIT_FAILED',
      message: expect.stringContaining('you sent ***, that is ***'),
    })
    expect(JSON.stringify([error, String(error)])).not.toMatch(
      new RegExp(`${canary}|${tokenHeader.slice(6)}|\\\\u001b`),
    )
  })
})
