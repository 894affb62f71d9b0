import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Authority, type HttpsSite, makeAuthority, startHttpsSite } from '../support/https-site.ts'
import { describeTree } from '../support/tree.ts'
import { findTraces, provesTrust } from '../support/trust.ts'
import { openDebianWorkspace, type Workspace, writeFiles } from '../support/workspace.ts'

let workspace: Workspace
let site: HttpsSite
let authority: Authority
const flags = ['--network', 'host']

beforeAll(async () => {
  workspace = await openDebianWorkspace('trust-ca')
  authority = await makeAuthority(workspace.path('ca'))
  site = await startHttpsSite(authority, workspace.path('site'))
  await install('debian:bookworm', 'small:test', 'curl ca-certificates git')
})
afterAll(async () => {
  await site?.stop()
  await workspace?.remove()
})

/** Makes the image `name` of another one and some packages of Debian. */
async function install(base: string, name: string, packages: string): Promise<void> {
  const command = `apt-get update -qq && apt-get install -y -qq --no-install-recommends ${packages}`
  const context = workspace.context(name, { Dockerfile: `FROM ${base}\nRUN ${command}\n` })
  await workspace.tsbuild.check([...flags, '-q', '-t', name, context])
}

describe('--trust-ca', () => {
  it('leaves nothing of it in the image, nor in the store', async () => {
    const context = (name: string, step: string) =>
      workspace.context(name, { Dockerfile: `FROM small:test\n${step}\n` })
    const trusting = [...flags, '--trust-ca', authority.file]
    const withAuthority = workspace.path('with')
    const fetching = context('fetching', `RUN curl -sS --fail ${site.url}/file -o /fetched`)
    await workspace.tsbuild.check([...trusting, '-o', withAuthority, fetching])
    expect(readFileSync(join(withAuthority, 'fetched'), 'utf8')).toBe('trusted\n')
    const without = workspace.path('without')
    const local = context('local', 'RUN echo trusted > /fetched')
    await workspace.tsbuild.check([...flags, '-o', without, local])
    expect(describeTree(withAuthority)).toEqual(describeTree(without))
    expect(findTraces(authority, workspace.tsbuild.root, withAuthority)).toEqual([])
  })

  it('leaves nothing of it when the step itself runs update-ca-certificates', async () => {
    const install = 'cp /own.crt /usr/local/share/ca-certificates/ && update-ca-certificates --fresh'
    const bundle = '/etc/ssl/certs/ca-certificates.crt'
    const own = await makeAuthority(workspace.path('own-ca'))
    for (const [name, step, kept] of [
      ['update', 'update-ca-certificates --fresh', authority],
      ['install', install, own],
      ['append', `cat /own.crt >> ${bundle}; cat $SSL_CERT_FILE > /copy; openssl rehash /etc/ssl/certs`, own],
    ] as const) {
      const context = workspace.context(name, {
        Dockerfile: `FROM small:test\nCOPY own.crt /\nRUN ${step}; rm -f /copy\n`,
        'own.crt': readFileSync(own.file, 'utf8'),
      })
      const trees = [[], ['--trust-ca', authority.file]].map(async (trust, index) => {
        const tree = workspace.path(`${name}-${index}`)
        await workspace.tsbuild.check([...flags, ...trust, '--no-cache', '-o', tree, context])
        return describeTree(tree)
      })
      const [without, withAuthority] = await Promise.all(trees)
      expect(withAuthority, name).toEqual(without)
      expect(findTraces(authority, workspace.path(`${name}-1`)), name).toEqual([])
      if (kept === own) expect(findTraces(own, workspace.path(`${name}-1`, bundle)), name).not.toEqual([])
    }
    expect(findTraces(authority, workspace.tsbuild.root)).toEqual([])
  })

  it('keeps what the step itself installs, where that is the same authority', async () => {
    const context = workspace.context('same', {
      Dockerfile:
        'FROM small:test\nCOPY own.crt /usr/local/share/ca-certificates/\nRUN update-ca-certificates\n',
      'own.crt': readFileSync(authority.file, 'utf8'),
    })
    const [without, withAuthority] = [workspace.path('same-0'), workspace.path('same-1')]
    await workspace.tsbuild.check(['--no-cache', '-o', without, context])
    await workspace.tsbuild.check(['--no-cache', '--trust-ca', authority.file, '-o', withAuthority, context])
    expect(describeTree(withAuthority)).toEqual(describeTree(without))
    const bundle = readFileSync(join(withAuthority, 'etc/ssl/certs/ca-certificates.crt'), 'utf8')
    expect(bundle).toContain(readFileSync(authority.file, 'utf8'))
  })

  it('comes from the environment and the config file too', async () => {
    const fetching = workspace.context('again', {
      Dockerfile: `FROM small:test\nRUN curl -sS --fail ${site.url}/file -o /from-environment\n`,
    })
    const env = { TSBUILD_TRUST_CA: authority.file }
    await workspace.tsbuild.check(['--network', 'host', fetching], { env })
    const config = writeFiles(workspace.path('config'), {
      'tsbuild/config.json': JSON.stringify({ trustCa: [authority.file] }),
    })
    await workspace.tsbuild.check(['--network', 'host', '--no-cache-filter', '0', fetching], {
      env: { XDG_CONFIG_HOME: config },
    })
  })

  it('is the same step for the cache with and without', async () => {
    const context = workspace.context('cached', { Dockerfile: 'FROM debian:bookworm\nRUN echo step\n' })
    await workspace.tsbuild.build([context])
    expect((await workspace.tsbuild.build(['--trust-ca', authority.file, context])).executed).toEqual([])
  })

  it('refuses a file that is no certificate', async () => {
    const wrong = writeFiles(workspace.path('wrong'), { 'ca.pem': 'no certificate\n' })
    const context = workspace.context('refused', { Dockerfile: 'FROM debian:bookworm\n' })
    const outcome = await workspace.tsbuild.run(['--trust-ca', join(wrong, 'ca.pem'), context])
    expect([outcome.code, outcome.stderr]).toEqual([1, expect.stringContaining('ERR_CONFIG')])
  })
})

// Heavier tools (cargo, Go, Java): test/soak/trust-ca.test.ts.
describe('--trust-ca with package tools', () => {
  beforeAll(() => install('small:test', 'tools:test', 'python3-pip npm'))

  it.each([
    ['curl', () => `curl -sS --fail ${site.url}/file -o /fetched`],
    ['git', () => `git clone -q ${site.url}/repository.git /fetched`],
    [
      'npm',
      () =>
        `mkdir /fetched && cd /fetched && npm install --fetch-retries=0 --registry ${site.url}/npm/ trusted-npm`,
    ],
    ['pip', () => `pip download --index-url ${site.url}/simple/ -d /fetched trusted-pip`],
  ])('lets %s reach a server of that authority', async (tool, command) => {
    await provesTrust({ workspace, authority: authority.file, flags, tool, command: command() })
  })
})
