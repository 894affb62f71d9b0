import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { requestRaw, statusOf } from '@tsbuild/http-server/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { stopProcess } from '../support/registry-process.ts'
import { repository } from '../support/repository.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'

/** Parts of paths that a server which puts them together would leave its directory with. */
const tricks = [
  '..',
  '../..',
  '%2e%2e',
  '%2e%2e%2f%2e%2e',
  '..%2f..',
  '..%5c..',
  '%252e%252e%252f',
  '.%00.',
  '%c0%ae%c0%ae',
  '%e0%80%ae',
  '....//',
  '.',
  '%2e',
  '',
  '%00',
  '\\..\\..',
  '/etc',
  '%2fetc',
  '~root',
  '$HOME',
  'a%2f..%2fb',
  '..;',
  '%uff0e%uff0e',
  '%f0%80%80%ae',
  'CON',
  '%0a',
  '%ff',
]
const digest = `sha256:${'0'.repeat(64)}`
const paths = tricks.flatMap((trick) => [
  `/v2/${trick}/etc/passwd/blobs/${digest}`,
  `/v2/a/${trick}/etc/passwd/manifests/canary`,
  `/v2/a/blobs/${trick}/canary`,
  `/v2/a/blobs/sha256:${trick}canary`,
  `/v2/a/manifests/${trick}/canary`,
  `/v2/a/blobs/uploads/${trick}/canary`,
  `/v2/a/tags/list?last=${trick}/canary`,
  `/v2/_catalog?last=${trick}/canary`,
  `/v2/a/referrers/${trick}/canary`,
])

let workspace: Workspace
let child: ChildProcess
let port = 0
beforeAll(async () => {
  workspace = openWorkspace('paths')
  const script = join(repository, 'test/e2e/cache-server-paths.mjs')
  const trace = ['-f', '-qq', '-e', 'trace=%file', '-s', '4096', '-o', workspace.path('trace')]
  child = spawn('strace', [...trace, process.execPath, script, workspace.path('objects')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  writeFileSync(workspace.path('canary'), 'canary')
  port = await new Promise<number>((resolve, reject) => {
    child.stdout?.once('data', (text) => resolve(Number(text)))
    child.once('error', reject).once('exit', (code) => reject(new Error(`The server ended: ${code}`)))
  })
})
afterAll(async () => {
  // The server ends with its input: strace itself would leave it behind.
  child?.stdin?.end()
  if (child !== undefined) await stopProcess(child)
  await workspace?.remove()
})

describe('/v2', () => {
  it('touches no file outside of its directory, whatever the path', async (context) => {
    needs(context, 'program strace')
    // What a process reads once, as its time zone, is read by now.
    for (const path of ['/v2/a/tags/list', `/v2/a/blobs/${digest}`, '/v2/_catalog', '/x'])
      for (const method of ['GET', 'DELETE'])
        await requestRaw(port, [`${method} ${path} HTTP/1.1`, 'Host: localhost'])
    const before = readFileSync(workspace.path('trace'), 'utf8').length
    for (const path of paths) {
      for (const method of ['GET', 'DELETE']) {
        const answer = await requestRaw(port, [`${method} ${path} HTTP/1.1`, 'Host: localhost'])
        expect([path, [400, 404, 405].includes(statusOf(answer))]).toEqual([path, true])
      }
    }
    const proper = await requestRaw(port, [`GET /v2/a/blobs/${digest} HTTP/1.1`, 'Host: localhost'])
    expect(statusOf(proper)).toBe(404)
    const touched = [
      ...readFileSync(workspace.path('trace'), 'utf8')
        .slice(before)
        .matchAll(/\w+\([^"\n]*"([^"]*)"/g),
    ]
    // An empty one is about a descriptor.
    const names = touched.flatMap(([, name = '']) => (name === '' ? [] : [name]))
    // That it sees anything at all: the proper request looked for its link.
    expect(
      names.some((name) => name.startsWith(workspace.path('objects')) && name.includes('0'.repeat(64))),
    ).toBe(true)
    const outside = names.filter(
      (name) => !name.startsWith(`${workspace.path('objects')}/`) || name.includes('..'),
    )
    expect(outside).toEqual([])
  })
})
