import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { keepCredentials } from './keep-credentials.ts'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-turn-'))
  path = join(folder, 'config.json')
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('keepCredentials()', () => {
  it('loses none of many logins at the same moment', async () => {
    const host = { env: { DOCKER_CONFIG: folder }, uid: 0 }
    const registries = Array.from({ length: 12 }, (_, index) => `r${index}.example`)
    const basic = { type: 'basic', username: 'me', password: 'x' } as const
    await Promise.all(registries.map((registry) => keepCredentials(host, registry, basic)))
    expect(Object.keys(JSON.parse(readFileSync(path, 'utf8')).auths).sort()).toEqual(registries.toSorted())
    await Promise.all(registries.slice(1).map((registry) => keepCredentials(host, registry, undefined)))
    expect(Object.keys(JSON.parse(readFileSync(path, 'utf8')).auths)).toEqual(['r0.example'])
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'config.json.lock'])
  })
})
