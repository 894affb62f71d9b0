import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeTree } from '../support/tree.ts'
import { check } from '../support/tsbuild.ts'
import { openDebianWorkspace, type Workspace, writeFiles } from '../support/workspace.ts'

let workspace: Workspace
let server: Server
let url: string
let authority: string

beforeAll(async () => {
  workspace = await openDebianWorkspace('trust-ca')
  authority = await makeAuthority(workspace.path('ca'))
  server = createServer(
    {
      key: readFileSync(workspace.path('ca/server.key')),
      cert: readFileSync(workspace.path('ca/server.pem')),
    },
    (_request, response) => response.end('trusted\n'),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  url = `https://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/`
})
afterAll(async () => {
  await new Promise((resolve) => server?.close(resolve))
  await workspace?.remove()
})

/** Makes a certificate authority and a server certificate of it for 127.0.0.1; gives the authority's file. */
async function makeAuthority(folder: string): Promise<string> {
  writeFiles(folder, { 'extensions.cnf': 'subjectAltName=IP:127.0.0.1\n' })
  const openssl = (...args: readonly string[]) => check('openssl', args, { cwd: folder })
  const request = ['req', '-newkey', 'rsa:2048', '-nodes', '-subj']
  await openssl(
    ...request,
    '/CN=tsbuild test authority',
    '-x509',
    '-days',
    '2',
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
  )
  await openssl(...request, '/CN=127.0.0.1', '-keyout', 'server.key', '-out', 'server.csr')
  await openssl(
    ...[
      'x509',
      '-req',
      '-in',
      'server.csr',
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      '2',
    ],
    ...['-extfile', 'extensions.cnf', '-out', 'server.pem'],
  )
  return join(folder, 'ca.pem')
}

const install =
  'RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends curl ca-certificates'

describe('--trust-ca', () => {
  it('lets a RUN step reach a server of that authority, and leaves nothing of it in the image', async () => {
    const context = (name: string, step: string) =>
      workspace.context(name, { Dockerfile: `FROM debian:bookworm\n${install}\n${step}\n` })
    const fetching = context('fetching', `RUN curl -sS --fail ${url} -o /fetched`)
    const flags = ['--network', 'host']

    const refused = await workspace.tsbuild.run([...flags, fetching])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain('ERR_STEP_FAILED')

    const withAuthority = workspace.path('with')
    await workspace.tsbuild.check([...flags, '--trust-ca', authority, '-o', withAuthority, fetching])
    expect(readFileSync(join(withAuthority, 'fetched'), 'utf8')).toBe('trusted\n')

    const without = workspace.path('without')
    const local = context('local', 'RUN echo trusted > /fetched')
    await workspace.tsbuild.check([...flags, '-o', without, local])
    expect(describeTree(withAuthority)).toEqual(describeTree(without))
  })

  it('comes from the environment and the config file too', async () => {
    const fetching = workspace.context('again', {
      Dockerfile: `FROM debian:bookworm\n${install}\nRUN curl -sS --fail ${url} -o /from-environment\n`,
    })
    const env = { TSBUILD_TRUST_CA: authority }
    await workspace.tsbuild.check(['--network', 'host', fetching], { env })
    const config = writeFiles(workspace.path('config'), {
      'tsbuild/config.json': JSON.stringify({ trustCa: [authority] }),
    })
    await workspace.tsbuild.check(['--network', 'host', '--no-cache-filter', '0', fetching], {
      env: { XDG_CONFIG_HOME: config },
    })
  })

  it('is the same step for the cache with and without', async () => {
    const context = workspace.context('cached', { Dockerfile: 'FROM debian:bookworm\nRUN echo step\n' })
    await workspace.tsbuild.build([context])
    expect((await workspace.tsbuild.build(['--trust-ca', authority, context])).executed).toEqual([])
  })

  it('refuses a file that is no certificate', async () => {
    const wrong = writeFiles(workspace.path('wrong'), { 'ca.pem': 'no certificate\n' })
    const context = workspace.context('refused', { Dockerfile: 'FROM debian:bookworm\n' })
    const outcome = await workspace.tsbuild.run(['--trust-ca', join(wrong, 'ca.pem'), context])
    expect([outcome.code, outcome.stderr]).toEqual([1, expect.stringContaining('ERR_CONFIG')])
  })
})
