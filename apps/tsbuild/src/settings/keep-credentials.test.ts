import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { withFileTurn } from './file-turn.ts'
import { keepCredentials } from './keep-credentials.ts'

let folder: string
let path: string
let lock: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-turn-'))
  path = join(folder, 'config.json')
  lock = `${path}.lock`
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('keepCredentials()', () => {
  it('loses none of many logins at the same moment, and leaves no lock', async () => {
    const host = { env: { DOCKER_CONFIG: folder }, uid: 0 }
    const registries = Array.from({ length: 12 }, (_, index) => `r${index}.example`)
    const basic = { type: 'basic', username: 'me', password: 'x' } as const
    await Promise.all(registries.map((registry) => keepCredentials(host, registry, basic)))
    expect(Object.keys(JSON.parse(readFileSync(path, 'utf8')).auths).sort()).toEqual(registries.toSorted())
    await Promise.all(registries.slice(1).map((registry) => keepCredentials(host, registry, undefined)))
    expect(Object.keys(JSON.parse(readFileSync(path, 'utf8')).auths)).toEqual(['r0.example'])
    expect(readdirSync(folder)).toEqual(['config.json'])
  })
})

describe('withFileTurn()', () => {
  it('takes away the lock of a process that was killed, once for all who wait', async () => {
    writeFileSync(lock, '')
    utimesSync(lock, 1, 1)
    let inside = 0
    let most = 0
    const act = async () => {
      most = Math.max(most, ++inside)
      await new Promise(setImmediate)
      inside--
    }
    await Promise.all(Array.from({ length: 8 }, () => withFileTurn(path, act)))
    expect(most).toBe(1)
    expect(readdirSync(folder)).toEqual([])
  })

  it('gives up, and names the lock, where somebody keeps it', async () => {
    writeFileSync(lock, '')
    const outcome = withFileTurn(path, async () => undefined, { staleMs: 60_000, patienceMs: 0 })
    await expect(outcome).rejects.toMatchObject({
      code: 'ERR_OUTPUT',
      message: `Cannot write "${path}": another process holds "${lock}"`,
    })
    expect(existsSync(lock)).toBe(true)
  })

  it('lets the next one in after a failure', async () => {
    await expect(withFileTurn(path, () => Promise.reject(new Error('x')))).rejects.toThrow('x')
    expect(await withFileTurn(path, async () => 1)).toBe(1)
  })
})
