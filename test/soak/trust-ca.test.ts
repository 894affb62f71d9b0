import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Authority, type HttpsSite, makeAuthority, startHttpsSite } from '../support/https-site.ts'
import { describeTree } from '../support/tree.ts'
import { findTraces, provesTrust } from '../support/trust.ts'
import { openDebianWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let site: HttpsSite
let authority: Authority
const flags = ['--network', 'host']
const packages = 'ca-certificates ca-certificates-java openjdk-17-jre-headless cargo git golang-go'

beforeAll(async () => {
  workspace = await openDebianWorkspace('trust-ca-soak')
  authority = await makeAuthority(workspace.path('ca'))
  site = await startHttpsSite(authority, workspace.path('site'))
  const install = `RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends ${packages}`
  const context = workspace.context('tools', { Dockerfile: `FROM debian:bookworm\n${install}\n` })
  await workspace.tsbuild.check([...flags, '-q', '-t', 'tools:test', context])
})
afterAll(async () => {
  await site?.stop()
  await workspace?.remove()
})

const manifest = '[package]\\nname = "a"\\nversion = "1.0.0"\\n[dependencies]\\ntrusted-crate = "1"\\n'
/** The registry's index comes by git, which is not what is tested: that is cargo's own download of the crate. */
const source = () =>
  `[source.crates-io]\\nreplace-with = "own"\\n[source.own]\\nregistry = "${site.url}/index.git"\\n[net]\\ngit-fetch-with-cli = true\\n`

describe('--trust-ca', () => {
  it.each([
    [
      'cargo',
      () =>
        `mkdir -p /a/src /a/.cargo && cd /a && touch src/lib.rs && printf '${manifest}' > Cargo.toml && printf '${source()}' > .cargo/config && GIT_SSL_NO_VERIFY=1 cargo fetch`,
    ],
    [
      'go',
      () => `GOPROXY=${site.url}/go GONOSUMDB=* GOFLAGS=-mod=mod go mod download example.test/trusted@v1.0.0`,
    ],
    ['java', () => `keytool -printcrl -file ${site.url}/crl.pem`],
  ])('lets %s reach a server of that authority', async (tool, command) => {
    await provesTrust({ workspace, authority: authority.file, flags, tool, command: command() })
  })

  it.each([
    ['update-ca-certificates --fresh'],
    ['apt-get install -y -qq --reinstall ca-certificates-java openjdk-17-jre-headless'],
  ])('leaves nothing of it in Java after %s', async (step) => {
    const context = workspace.context('java', { Dockerfile: `FROM tools:test\nRUN ${step}\n` })
    const listed = 'keytool -list -cacerts -storepass changeit'
    const check = workspace.context('list', {
      Dockerfile: `FROM java:test\nRUN ${listed} > /list && test $(grep -c trustedCert /list) -gt 100\n`,
    })
    await workspace.tsbuild.check([...flags, '--trust-ca', authority.file, '-t', 'java:test', context])
    const tree = workspace.path('java-tree')
    await workspace.tsbuild.check(['-o', tree, check])
    expect(describeTree(tree).filter((line) => line.includes('tsbuild'))).toEqual([])
    expect(findTraces(authority, tree, workspace.tsbuild.root)).toEqual([])
  })

  it('keeps what a step adds to the trust store of Java itself', async () => {
    const own = await makeAuthority(workspace.path('own-ca'))
    const add = 'keytool -importcert -cacerts -storepass changeit -noprompt -alias own -file /own.pem'
    const context = workspace.context('own', {
      Dockerfile: `FROM tools:test\nCOPY own.pem /\nRUN ${add}\n`,
      'own.pem': readFileSync(own.file, 'utf8'),
    })
    await workspace.tsbuild.check(['--trust-ca', authority.file, '-t', 'own:test', context])
    const list = 'keytool -list -cacerts -storepass changeit'
    const check = workspace.context('own-list', { Dockerfile: `FROM own:test\nRUN ${list} -alias own\n` })
    await workspace.tsbuild.check([check])
    expect(findTraces(authority, workspace.tsbuild.root)).toEqual([])
  })
})
