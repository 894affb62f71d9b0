import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { Readable } from 'node:stream'
import { type Access, type Exchange, replyError, startFakeRegistry } from '@tsbuild/registry/testing'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Host } from '../host.ts'
import { main } from '../main.ts'
import { memoryHost } from '../test-support/memory-host.ts'
import { run as login } from './login.ts'
import { run as logout } from './logout.ts'

let folder: string
const cleanups: (() => Promise<void>)[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-login-'))
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
  rmSync(folder, { recursive: true })
})

const user = { username: 'me', password: 'hunter22' }
const auth = Buffer.from('me:hunter22').toString('base64')

async function start(access: Access | undefined = { type: 'basic', ...user }): Promise<string> {
  const registry = await startFakeRegistry({ access })
  cleanups.push(registry.stop)
  return registry.host
}

const configPath = () => join(folder, '.docker', 'config.json')
const config = () => JSON.parse(readFileSync(configPath(), 'utf8'))

function writeConfig(text: string): void {
  mkdirSync(join(folder, '.docker'))
  writeFileSync(configPath(), text, { mode: 0o644 })
}

function hostWith(input: string, env: Readonly<Record<string, string>> = {}) {
  const host = memoryHost({ env: { HOME: folder, XDG_RUNTIME_DIR: folder, ...env } })
  return Object.assign(host, { stdin: Readable.from(input === '' ? [] : [input]) })
}

/** A terminal on which somebody types; what `setRawMode` was told is written down. */
function terminalWith(typed: readonly string[]) {
  const raw: boolean[] = []
  const keys = new Readable({ read: () => undefined })
  for (const text of typed) keys.push(text)
  const stdin: Host['stdin'] = Object.assign(keys, {
    isTTY: true,
    setRawMode: (on: boolean) => raw.push(on),
  })
  return { host: Object.assign(hostWith(''), { stdin }), raw }
}

describe('tsbuild login', () => {
  it('checks the password of standard input and keeps it where docker does', async () => {
    const registry = await start()
    const host = hostWith('hunter22\n')
    expect(await login(['-u', 'me', '--password-stdin', registry], host)).toBe(0)
    expect(host.out()).toBe('Login Succeeded\n')
    expect(config()).toEqual({ auths: { [registry]: { auth } } })
    expect(statSync(configPath()).mode & 0o777).toBe(0o600)
    expect(statSync(join(folder, '.docker')).mode & 0o777).toBe(0o700)
    expect(host.err()).toContain('not encrypted')
    expect(host.err() + host.out()).not.toContain('hunter22')
    expect(readdirSync(join(folder, '.docker'))).toEqual(['config.json', 'config.json.lock'])
  })

  it('keeps nothing that the registry refuses', async () => {
    const registry = await start({ type: 'bearer', user, tokens: new Set() })
    const outcome = login(['-u', 'me', '--password-stdin', registry], hostWith('wrong'))
    await expect(outcome).rejects.toMatchObject({ code: 'ERR_REGISTRY_AUTH' })
    expect(() => config()).toThrow()
  })

  it('leaves what else is in the file as it is, and makes it private', async () => {
    const registry = await start()
    const before = `{
  "psFormat": "x",
  "auths": {
    "other.example": { "auth": "eDp5" },
    "http://${registry}/v1/": { "auth": "b2xkOm9sZA==" }
  },
  "plugins": { "b": 1, "a": [1] }
}`
    writeConfig(before)
    await login(['-u', 'me', '--password-stdin', registry], hostWith('hunter22'))
    expect(readFileSync(configPath(), 'utf8')).toBe(`{
  "psFormat": "x",
  "auths": {
    "other.example": {
      "auth": "eDp5"
    },
    "${registry}": {
      "auth": "${auth}"
    }
  },
  "plugins": {
    "b": 1,
    "a": [
      1
    ]
  }
}
`)
    expect(statSync(configPath()).mode & 0o777).toBe(0o600)
  })

  it.each(['{}', undefined])('writes through a link to %s, which stays', async (text) => {
    const registry = await start()
    mkdirSync(join(folder, '.docker'))
    if (text !== undefined) writeFileSync(join(folder, 'real.json'), text)
    symlinkSync('../real.json', configPath())
    await login(['-u', 'me', '--password-stdin', registry], hostWith('hunter22'))
    expect(lstatSync(configPath()).isSymbolicLink()).toBe(true)
    expect(config().auths[registry]).toEqual({ auth })
  })

  it('writes the file that REGISTRY_AUTH_FILE names', async () => {
    const registry = await start()
    const path = join(folder, 'auth.json')
    await login(
      ['-u', 'me', '--password-stdin', registry],
      hostWith('hunter22', { REGISTRY_AUTH_FILE: path }),
    )
    expect(JSON.parse(readFileSync(path, 'utf8')).auths[registry]).toEqual({ auth })
    expect(() => config()).toThrow()
  })

  it('asks on a terminal, shows no password, and gives the terminal back', async () => {
    const registry = await start()
    const { host, raw } = terminalWith(['mee\u007f\r', 'hunter', '2', '2\r'])
    expect(await login([registry], host)).toBe(0)
    expect(config().auths[registry]).toEqual({ auth })
    expect(host.err()).toContain('Username: mee\b \b\n')
    expect(host.err()).toContain('Password: \n')
    expect(host.err()).not.toContain('hunter')
    expect(raw).toEqual([true, false, true, false])
  })

  it('loses nothing of what is typed or pasted in one go', async () => {
    const registry = await start()
    const { host } = terminalWith(['me\nhunter22\n'])
    expect(await login([registry], host)).toBe(0)
    expect(config().auths[registry]).toEqual({ auth })
  })

  it.each([
    ['Ctrl-C', ['me\r', 'hun\u0003']],
    ['Ctrl-D', ['\u0004']],
  ])('ends with %s, and gives the terminal back', async (_, typed) => {
    const registry = await start()
    const { host, raw } = terminalWith(typed)
    await expect(login([registry], host)).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    expect(raw.at(-1)).toBe(false)
  })

  it('checks what is kept when nothing is said', async () => {
    const registry = await start()
    writeConfig(JSON.stringify({ auths: { [registry]: { auth } } }))
    const host = hostWith('')
    expect(await login([registry], host)).toBe(0)
    expect(host.err()).toContain('still good')
  })

  it('warns of a password in the arguments, and of a registry that asks nobody', async () => {
    const registry = await start({ type: 'bearer', tokens: new Set() })
    const open = await startFakeRegistry()
    cleanups.push(open.stop)
    const host = hostWith('')
    await login(['-u', 'me', '-p', 'hunter22', open.host], host)
    expect(host.err()).toContain('--password-stdin hides it')
    expect(host.err()).toContain('were not checked')
    expect(host.err()).not.toContain('hunter22')
    await login(['-u', 'me', '-p', 'hunter22', `https://${registry}/v2/`], hostWith(''))
    expect(Object.keys(config().auths)).toEqual([open.host, registry])
  })

  it.each([
    [['--password-stdin'], 'needs --username'],
    [['-u', 'a:b', '--password-stdin'], '":"'],
    [['-u', 'a', '-p', 'b', '--password-stdin'], 'exclude'],
    [['-u', 'a', '-p', ''], 'empty'],
    [['-u', 'a', '--password-stdin'], 'empty'],
    [['-u', 'a'], 'no password, and no terminal'],
    [[], 'no user name, and no terminal'],
    [['a/b'], 'expected host[:port]'],
    [['../x'], 'expected host[:port]'],
  ])('refuses %j', async (argv, why) => {
    const host = hostWith('')
    await expect(login(argv, host)).rejects.toMatchObject({
      code: 'ERR_USAGE',
      message: expect.stringContaining(why),
    })
  })

  it.each([
    ['basic', { type: 'basic', ...user }],
    ['bearer', { type: 'bearer', user, tokens: new Set<string>() }],
  ] as const)(
    'REG-07: a registry that says credentials back to us (%s) has them shown nowhere',
    async (_, access) => {
      const registry = await startFakeRegistry({ access })
      cleanups.push(registry.stop)
      const sent: string[] = []
      const echo = ({ request, response }: Exchange) => {
        const { authorization = '' } = request.headers
        sent.push(authorization)
        const secret = authorization.replace(/^\w+ /, '')
        const words = [
          authorization,
          secret,
          encodeURIComponent(secret),
          'hunter22',
          'https://me:hunter22@x.example/',
        ]
        replyError(response, 403, 'ECHO', words.join(' '))
      }
      const later = { path: /^\/v2\//, act: echo }
      const first = { path: /^\/v2\//, act: ({ next }: Exchange) => next() }
      registry.fault(first, later, first, later)
      const outputs: string[] = []
      for (const flags of [[], ['--debug']]) {
        const host = hostWith('hunter22')
        expect(await main(['login', '-u', 'me', '--password-stdin', ...flags, registry.host], host)).toBe(3)
        outputs.push(host.out() + host.err())
      }
      expect(outputs[0]).toContain('ECHO')
      expect(sent[0]).not.toBe('')
      for (const secret of ['hunter22', auth, ...sent.map((one) => one.replace(/^\w+ /, ''))]) {
        if (secret !== '') expect(outputs.join('')).not.toContain(secret)
      }
    },
  )

  it('leaves the file alone when it is no configuration', async () => {
    const registry = await start()
    writeConfig('{"auths": oops')
    const outcome = login(['-u', 'me', '--password-stdin', registry], hostWith('hunter22'))
    await expect(outcome).rejects.toMatchObject({ code: 'ERR_CONFIG' })
    expect(readFileSync(configPath(), 'utf8')).toBe('{"auths": oops')
  })
})

describe('tsbuild logout', () => {
  it('forgets one registry, under all of its names', async () => {
    const auths = { 'https://index.docker.io/v1/': { auth }, 'docker.io': { auth }, 'a.io': { auth } }
    writeConfig(JSON.stringify({ auths }, undefined, '\t'))
    const host = hostWith('')
    expect(await logout([], host)).toBe(0)
    expect(host.out()).toBe('Removed the credentials for docker.io\n')
    expect(readFileSync(configPath(), 'utf8')).toBe(
      `${JSON.stringify({ auths: { 'a.io': { auth } } }, undefined, '\t')}\n`,
    )
    const again = hostWith('')
    await logout(['docker.io'], again)
    expect(again.out()).toBe('Not logged in to docker.io\n')
  })

  it('says where others are still kept', async () => {
    mkdirSync(join(folder, 'containers'))
    writeFileSync(join(folder, 'containers', 'auth.json'), JSON.stringify({ auths: { 'a.io': { auth } } }))
    const host = hostWith('')
    await logout(['a.io'], host)
    expect(host.err()).toContain('another file')
  })
})

describe('with a credential helper', () => {
  const path = process.env.PATH
  const programs = mkdtempSync(join(tmpdir(), 'tsbuild-login-helper-'))
  beforeAll(() => {
    const script = `#!/bin/sh
set -e
data='${programs}/kept'
case "$1" in
store) cat > "$data" ;;
get) read -r server; test -f "$data" || { echo 'credentials not found in native keychain'; exit 1; }; cat "$data" ;;
erase) read -r server; test -f "$data" || exit 7; rm "$data" ;;
esac
`
    writeFileSync(join(programs, 'docker-credential-test'), script)
    chmodSync(join(programs, 'docker-credential-test'), 0o755)
    process.env.PATH = `${programs}${delimiter}${path}`
  })
  afterAll(() => {
    process.env.PATH = path
    rmSync(programs, { recursive: true })
  })

  it.each([
    ['credsStore', () => ({ credsStore: 'test' })],
    ['credHelpers', (registry: string) => ({ credHelpers: { [registry]: 'test' } })],
  ])('login and logout have it keep and forget the password (%s)', async (_, made) => {
    const registry = await start()
    writeConfig(JSON.stringify(made(registry)))
    const host = hostWith('hunter22')
    await login(['-u', 'me', '--password-stdin', registry], host)
    expect(JSON.parse(readFileSync(join(programs, 'kept'), 'utf8'))).toEqual({
      ServerURL: registry,
      Username: 'me',
      Secret: 'hunter22',
    })
    expect(readFileSync(configPath(), 'utf8')).not.toContain(auth)
    expect(config()).toEqual({ ...made(registry), auths: { [registry]: {} } })
    expect(host.err()).not.toContain('not encrypted')
    const again = hostWith('')
    await login([registry], again)
    expect(again.err()).toContain('still good')
    await logout([registry], hostWith(''))
    expect(config()).toEqual({ ...made(registry), auths: {} })
    expect(readdirSync(programs)).toEqual(['docker-credential-test'])
  })

  it('a helper that fails keeps the file as it was', async () => {
    writeConfig(JSON.stringify({ credsStore: 'test', auths: { 'a.io': {} } }))
    await expect(logout(['a.io'], hostWith(''))).rejects.toMatchObject({
      code: 'ERR_REGISTRY_AUTH',
      message: expect.stringContaining('docker-credential-test'),
    })
    expect(config().auths).toEqual({ 'a.io': {} })
  })
})
