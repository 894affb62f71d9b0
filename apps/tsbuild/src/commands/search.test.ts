import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startFakeRegistry } from '@tsbuild/registry/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { memoryHost } from '../test-support/memory-host.ts'
import { run } from './search.ts'

let folder: string
const cleanups: (() => Promise<void>)[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-search-'))
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
  rmSync(folder, { recursive: true })
})

async function start(names: readonly string[]): Promise<string> {
  const registry = await startFakeRegistry()
  cleanups.push(registry.stop)
  for (const name of names) registry.manifests.set(name, { bytes: Buffer.from('{}'), mediaType: 'x' })
  return registry.host
}

async function search(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const host = memoryHost({ env: { HOME: folder, ...env } })
  const code = await run(argv, host)
  return { code, out: host.out(), err: host.err() }
}

describe('tsbuild search', () => {
  it('searches the catalogue of a registry', async () => {
    const registry = await start(['team/web:1', 'team/api:1', 'webs:2'])
    const { code, out } = await search([`${registry}/web`])
    expect(code).toBe(0)
    const [head, ...rows] = out.trimEnd().split('\n')
    expect(head?.split(/ {3,}/)).toEqual(['NAME', 'DESCRIPTION', 'STARS', 'OFFICIAL'])
    expect(rows).toEqual([`${registry}/team/web`, `${registry}/webs`])
    const json = await search([`${registry}/`, '--format', 'json', '--limit', '1'])
    expect(JSON.parse(json.out)).toEqual([{ registry, name: 'team/api' }])
  })

  it('searches where registries.conf says, and goes on without those that fail', async () => {
    const [one, two, gone] = [await start(['a/web:1']), await start(['b/web:1']), '127.0.0.1:1']
    const conf = join(folder, 'registries.conf')
    writeFileSync(conf, `unqualified-search-registries = ${JSON.stringify([one, gone, two])}\n`)
    const { out, err } = await search(['web'], { CONTAINERS_REGISTRIES_CONF: conf })
    expect(out.trimEnd().split('\n').slice(1)).toEqual([`${one}/a/web`, `${two}/b/web`])
    expect(err).toContain(gone)
    writeFileSync(conf, `unqualified-search-registries = ["${gone}"]\n`)
    await expect(search(['web'], { CONTAINERS_REGISTRIES_CONF: conf })).rejects.toMatchObject({
      code: 'ERR_REGISTRY_UNREACHABLE',
    })
  })

  it('lists tags', async () => {
    const registry = await start(['app:1.0', 'app:2.0'])
    const { out } = await search(['--list-tags', `${registry}/app`])
    expect(out.trimEnd().split('\n').slice(1)).toEqual([`${registry}/app   1.0`, `${registry}/app   2.0`])
    const json = await search(['--list-tags', '--format', 'json', '--limit', '1', `${registry}/app`])
    expect(JSON.parse(json.out)).toEqual({ name: `${registry}/app`, tags: ['1.0'] })
    await expect(search(['--list-tags', `${registry}/none`])).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
    })
  })

  it('--filter drops what does not match', async () => {
    const registry = await start(['web:1'])
    expect(
      JSON.parse((await search([`${registry}/web`, '--filter', 'stars=1', '--format=json'])).out),
    ).toEqual([])
    const unofficial = await search([`${registry}/web`, '--filter', 'is-official=false', '--format=json'])
    expect(JSON.parse(unofficial.out)).toHaveLength(1)
  })

  it.each([
    [['x', '--limit', '0'], '--limit'],
    [['x', '--filter', 'stars=many'], 'many'],
    [['x', '--filter', 'is-official=perhaps'], 'perhaps'],
    [['x', '--filter', 'is-automated=true'], 'is-automated'],
    [[], 'TERM'],
  ])('refuses %j', async (argv, why) => {
    await expect(search(argv)).rejects.toMatchObject({
      code: 'ERR_USAGE',
      message: expect.stringContaining(why),
    })
  })
})
