import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { main } from '../main.ts'
import { memoryHost } from '../test-support/memory-host.ts'

let dir = ''
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'cache-server-run-'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

it('goes on where a reload fails in a way that nobody expected', async () => {
  const host = memoryHost({ cwd: dir, now: Date.now })
  const running = main(['--dir', 'd', '--listen', '127.0.0.1:0', '--log-format', 'json'], host)
  const said = (text: string) => vi.waitFor(() => expect(host.out() + host.err()).toContain(text), 20_000)
  await said('ready')
  const key = join(dir, 'd/keys/000002.pem')
  await mkdir(key, { mode: 0o700 })
  host.signal('SIGHUP')
  await said('stay as they were')
  await rm(key, { recursive: true })
  host.signal('SIGHUP')
  await said('were read again')
  host.signal('SIGTERM')
  expect(await running).toBe(0)
})

it('takes no part of an upload where no more is free than is to stay so', async () => {
  const host = memoryHost({ cwd: dir, now: Date.now })
  const flags = ['--listen', '127.0.0.1:0', '--log-format', 'json', '--limits-min-free', '1000t']
  const running = main(['--dir', 'full', ...flags], host)
  await vi.waitFor(() => expect(host.out() + host.err()).toContain('ready'), 20_000)
  const [url = ''] = /http:[^"]*/.exec(host.out() + host.err()) ?? []
  const begun = await fetch(`${url}/v2/a/b/blobs/uploads/`, { method: 'POST' })
  expect(begun.status).toBe(202)
  const place = new URL(begun.headers.get('location') ?? '', url)
  expect((await fetch(place, { method: 'PATCH', body: 'x' })).status).toBe(507)
  const progress = await fetch(place)
  expect([progress.status, progress.headers.get('range')]).toEqual([204, '0-0'])
  host.signal('SIGTERM')
  expect(await running).toBe(0)
})
