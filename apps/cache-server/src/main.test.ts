import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openFsStore } from '@tsbuild/object-store'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { commands } from './commands.ts'
import { main } from './main.ts'
import { memoryHost } from './test-support/memory-host.ts'

let dir = ''
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'cache-server-main-'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

async function run(argv: readonly string[], stdin?: string) {
  const host = memoryHost({ cwd: dir, ...(stdin === undefined ? {} : { stdin }) })
  const code = await main(argv, host)
  return { code, out: host.out(), err: host.err() }
}

describe('main()', () => {
  it.each(commands.map(({ name }) => name))('shows the help of %s', async (name) => {
    const { code, out } = await run(['help', ...name.split(' ')])
    expect(code).toBe(0)
    expect(out).toMatch(/^Usage: cache-server/)
    expect(await run([...name.split(' '), '--help'])).toMatchObject({ code: 0, out })
  })

  it.each([
    [[], 1, 'there is no directory'],
    [['tokn'], 2, 'no such command'],
    [['token', 'mint'], 2, 'One of: token create, token inspect, token revoke.'],
    [['--dir', 'd', '--gc-max-sise', '1g'], 2, 'Did you mean `--gc-max-size`?'],
    [['--dir', 'd', '--listen', '0.0.0.0:0'], 1, '--insecure'],
    [['--config', 'absent.toml'], 1, 'Cannot read configuration'],
  ])('answers %j with exit code %d and %j', async (argv, code, part) => {
    const result = await run(argv)
    expect(result.code).toBe(code)
    expect(result.err).toContain(part)
  })

  it('config check prints every setting with its source, and no password', async () => {
    const host = memoryHost({
      cwd: dir,
      env: { TSBUILD_CACHE_SERVER_OCI_USERNAME: 'u', TSBUILD_CACHE_SERVER_OCI_PASSWORD: 'CANARY' },
    })
    expect(await main(['config', 'check', '--dir', 'd', '--listen', ':1', '--auth', 'tokens'], host)).toBe(0)
    expect(host.out()).toMatch(/^listen +:1 +flag$/m)
    expect(host.out()).toMatch(/^oci\.password +\*\*\* +environment$/m)
    expect(host.err()).toContain('Warning: Tokens go over the network')
    expect(host.out() + host.err()).not.toContain('CANARY')
  })

  it('makes a token, says what is in it, and takes it back', async () => {
    const made = await run(['token', 'create', '--dir', 'd', '--scope', 'acme/app:pr/7', '--ttl', '1h'])
    expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+\n$/) })
    expect(made.err).toContain('There was no key in ')
    const again = await run(['token', 'create', '--dir', 'd', '--scope', 'acme/app:pr/7'])
    expect(again.err).not.toContain('There was no key in ')
    const inspected = await run(['token', 'inspect', '--dir', 'd'], made.out)
    expect(inspected.code).toBe(0)
    expect(inspected.out).toMatch(/^counts +yes$/m)
    expect(inspected.out).toMatch(/^read +acme\/app:pr\/7, acme\/app:ref\/main$/m)
    const revoked = await run(['token', 'revoke', '--dir', 'd', '-'], made.out)
    expect(made.err).toContain(revoked.out.trim())
    const after = await run(['token', 'inspect', '--dir', 'd'], made.out)
    expect(after.code).toBe(1)
    expect(after.out).toContain('was revoked')
  })

  it.each([
    ['a word', 'abc', 'expected a token, or the id of one'],
    ['two parts', 'a.b', 'expected a token, or the id of one'],
    ['a part of an id', '1b4e28ba-2fa1', 'expected a token, or the id of one'],
  ])('takes nothing back for %s', async (_, shown, why) => {
    expect(await run(['token', 'revoke', '--dir', 'd', shown])).toMatchObject({
      code: 2,
      err: expect.stringContaining(why),
    })
  })

  it('takes back what has ended and what was taken back, and no token of another server', async () => {
    const { out: token } = await run([
      'token',
      'create',
      '--dir',
      'd',
      '--scope',
      'a:ref/main',
      '--ttl',
      '1s',
    ])
    const later = () => memoryHost({ cwd: dir, stdin: token, now: () => Date.now() + 60_000 })
    for (const host of [later(), later()]) expect(await main(['token', 'revoke', '--dir', 'd'], host)).toBe(0)
    const id = '1b4e28ba-2fa1-11d2-883f-0016d3cca427'
    expect(await run(['token', 'revoke', '--dir', 'd', id])).toMatchObject({ code: 0, out: `${id}\n` })
    expect(await run(['token', 'revoke', '--dir', 'other', '-'], token)).toMatchObject({
      code: 2,
      err: expect.stringContaining('no key of this server signed it'),
    })
  })

  it('says that a token has ended, and that there is none', async () => {
    const { out } = await run(['token', 'create', '--dir', 'd', '--scope', 'a:ref/main', '--ttl', '1s'])
    const later = memoryHost({ cwd: dir, stdin: out, now: () => Date.now() + 60_000 })
    expect(await main(['token', 'inspect', '--dir', 'd'], later)).toBe(1)
    expect(later.out()).toMatch(/^counts +no: it has ended$/m)
    const none = await run(['token', 'inspect', '--dir', 'd'], '')
    expect(none).toMatchObject({ code: 2, err: expect.stringContaining('there is none') })
  })

  it('does not believe the token of another server', async () => {
    const { out } = await run(['token', 'create', '--dir', 'other', '--scope', 'a:ref/main'])
    expect((await run(['token', 'inspect', '--dir', 'd'], out)).code).toBe(1)
  })

  it('makes no cache in a directory of something else, and none where a command is about one', async () => {
    mkdirSync(join(dir, 'project/src'), { recursive: true })
    const refused = { code: 3, err: expect.stringContaining('it holds something else ("src")') }
    for (const command of [
      ['--dir', 'project'],
      ['keys', 'rotate', '--dir', 'project'],
    ])
      expect(await run(command)).toMatchObject(refused)
    for (const command of ['gc', 'scrub', 'stats'])
      expect(await run([command, '--dir', 'missing/here'])).toMatchObject({
        code: 3,
        err: expect.stringContaining('there is no such directory'),
      })
    expect(readdirSync(join(dir, 'project'))).toEqual(['src'])
    expect(existsSync(join(dir, 'missing'))).toBe(false)
  })

  it.each(['gc', 'scrub'])('%s waits while it is the turn of another process', async (command) => {
    await run(['keys', 'export', '--dir', command])
    const randomId = () => randomBytes(16).toString('hex')
    const store = await openFsStore({
      root: join(dir, command, 'objects'),
      now: Date.now,
      randomId,
      durability: 'none',
    })
    const key = `${command}/v1/turn`
    const { now } = memoryHost()
    const turn = { v: 1, holder: 'another', untilMs: now() + 60_000 }
    await store.cas(key, null, Buffer.from(JSON.stringify(turn)))
    const running = run([command, '--dir', command])
    expect(await Promise.race([running, delay(500, 'waits')])).toBe('waits')
    const taken = await store.head(key)
    await store.delete(key, { version: taken?.version ?? '' })
    expect(await running).toMatchObject({ code: 0, err: '' })
    await store.close()
  })

  it('ends where no directory can be made, and says where one is a file', async () => {
    writeFileSync(join(dir, 'file'), '')
    expect(await run(['--dir', 'file'])).toMatchObject({
      code: 3,
      err: expect.stringContaining('is no directory'),
    })
    expect(await run(['--dir', '/proc/tsbuild'])).toMatchObject({
      code: 3,
      err: expect.stringContaining('the file system takes none there'),
    })
  })

  it('prints keys as lines of a keys file', async () => {
    const { out } = await run(['keys', 'export', '--dir', 'd'])
    const { parseKeysFile } = await import('@tsbuild/trust')
    expect(parseKeysFile(out, 'keys').rules).toHaveLength(1)
  })
})
