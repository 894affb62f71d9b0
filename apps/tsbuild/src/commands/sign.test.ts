import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SignImageOptions, VerifyImageOptions } from '@tsbuild/builder'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { memoryHost } from '../test-support/memory-host.ts'
import { run as attest } from './attest.ts'
import { run as generate } from './generate-key-pair.ts'
import { run as sign } from './sign.ts'
import { run as verify } from './verify-image.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-sign-'))
  writeFileSync(join(folder, 'k'), 'PEM')
})
afterEach(() => rmSync(folder, { recursive: true }))

const image = `host/app@sha256:${'0'.repeat(64)}`

function hostWith(added = true) {
  const calls: SignImageOptions[] = []
  const signImage = async (options: SignImageOptions) => {
    calls.push(options)
    return [{ image, place: 'host/app:tag', added }]
  }
  const env = { HOME: '/home/me', KEY: 'PEM of a variable', COSIGN_PASSWORD: 'pw' }
  return { host: memoryHost({ cwd: folder, env, builder: { signImage } }), calls }
}

describe('tsbuild sign', () => {
  it('signs each image with the key and what is to be stated', async () => {
    const { host, calls } = hostWith()
    expect(
      await sign(['--key', 'k', '-a', 'x=1', '-a', 'y=a=b', '-r', '--yes', 'one:1', 'two:1'], host),
    ).toBe(0)
    expect(calls).toMatchObject([
      { image: 'one:1', key: { pem: 'PEM', name: 'k' }, annotations: { x: '1', y: 'a=b' }, recursive: true },
      { image: 'two:1' },
    ])
    expect(await calls[0]?.key.password?.()).toBe('pw')
    expect(host.out()).toBe(`${image}\n${image}\n`)
    expect(host.err()).toBe('')
  })

  it('says what was signed already, and takes a key of a variable', async () => {
    const { host, calls } = hostWith(false)
    await sign(['--key', 'env://KEY', 'one:1'], host)
    expect(calls).toMatchObject([{ key: { pem: 'PEM of a variable' } }])
    expect(host.err()).toBe(`Note: ${image} has this signature already\n`)
  })

  it.each([
    [['one:1'], 'ERR_USAGE'],
    [['--key', 'k'], 'ERR_USAGE'],
    [['--key', 'k', '-a', 'x', 'one:1'], 'ERR_USAGE'],
    [['--key', 'k', '-a', '=x', 'one:1'], 'ERR_USAGE'],
    [['--key', 'none', 'one:1'], 'ERR_SIGNATURE_KEY'],
    [['--key', '.', 'one:1'], 'ERR_SIGNATURE_KEY'],
    [['--key', 'env://NOTHING', 'one:1'], 'ERR_SIGNATURE_KEY'],
    [['--key', 'awskms://key', 'one:1'], 'ERR_UNSUPPORTED'],
    [['--key', 'k', '--tlog-upload', 'true', 'one:1'], 'ERR_UNSUPPORTED'],
  ])('refuses %j with %s', async (argv, code) => {
    const { host, calls } = hostWith()
    await expect(sign(argv, host)).rejects.toMatchObject({ code })
    expect(calls).toEqual([])
  })

  it('names the flag that is missing', async () => {
    await expect(sign(['one:1'], hostWith().host)).rejects.toMatchObject({
      message: 'Cannot run `tsbuild sign`: flag "--key <key>" is missing',
    })
  })
})

describe('tsbuild attest', () => {
  it('refuses a predicate that is no JSON, or not there', async () => {
    writeFileSync(join(folder, 'p'), '{')
    const argv = (file: string) => ['--key', 'k', '--type', 'custom', '--predicate', file, 'one:1']
    await expect(attest(argv('p'), hostWith().host)).rejects.toMatchObject({ code: 'ERR_USAGE' })
    await expect(attest(argv('none'), hostWith().host)).rejects.toMatchObject({ code: 'ERR_USAGE' })
  })
})

describe('tsbuild verify-image', () => {
  const digest = `sha256:${'0'.repeat(64)}` as never
  it('prints what was verified, with nothing that a terminal would take for an order', async () => {
    const calls: VerifyImageOptions[] = []
    const verifyImage = async (options: VerifyImageOptions) => {
      calls.push(options)
      return { image, digest, signatures: [{ identity: 'host/app', annotations: { a: '\u001b[2J', n: 1 } }] }
    }
    const host = memoryHost({ cwd: folder, env: { HOME: '/home/me' }, builder: { verifyImage } })
    expect(await verify(['--key', 'k', '-a', 'x=1', '--type', 'spdxjson', 'one:1'], host)).toBe(0)
    expect(calls).toMatchObject([{ image: 'one:1', annotations: { x: '1' }, predicateType: 'spdxjson' }])
    expect(host.out()).toMatch(/^host\/app@sha256:0+\n {2}signed as host\/app, a=.*, n=1\n$/)
    expect(host.out()).not.toContain('\u001b')
  })

  it('prints a line of JSON for each image', async () => {
    const attestations = [{ predicateType: 'https://x', predicate: { a: 1 } }]
    const verifyImage = async () => ({ image, digest, attestations })
    const host = memoryHost({ cwd: folder, env: { HOME: '/home/me' }, builder: { verifyImage } })
    await verify(['--key', 'k', '--format', 'json', 'one:1'], host)
    expect(JSON.parse(host.out())).toEqual({ image, digest, attestations })
  })
})

describe('tsbuild generate-key-pair', () => {
  it('leaves both files alone where one of them is there', async () => {
    writeFileSync(join(folder, 'x.pub'), 'old')
    const host = memoryHost({ cwd: folder, env: { COSIGN_PASSWORD: '' } })
    await expect(generate(['--output-key-prefix', 'x'], host)).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_KEY',
    })
    expect(readFileSync(join(folder, 'x.pub'), 'utf8')).toBe('old')
    expect(() => readFileSync(join(folder, 'x.key'))).toThrow()
  })
})
