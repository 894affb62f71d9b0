import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../../support/tsbuild.ts'
import { openPlaces, type PlaceName, type Places } from './places.ts'

/** Asks for what a registry of our configuration can do; it takes a mount without a source from what the caller may read. */
const workflows = {
  OCI_TEST_PULL: '1',
  OCI_TEST_PUSH: '1',
  OCI_TEST_CONTENT_DISCOVERY: '1',
  OCI_TEST_CONTENT_MANAGEMENT: '1',
  OCI_AUTOMATIC_CROSSMOUNT: '1',
}

describe('the official conformance suite of the distribution specification 1.1', () => {
  let places: Places
  let programme = ''

  beforeAll(async () => {
    places = await openPlaces('suite', '')
    programme = join(places.folder, 'suite')
    const built = await run('go', ['test', '-c', '-o', programme, suite], {
      cwd: join(import.meta.dirname, 'suite-1.1'),
      // As go.sum pins it: nothing is looked up, and no other Go is fetched.
      env: { ...toolchain, GOFLAGS: '-mod=readonly -buildvcs=false', GOTOOLCHAIN: 'local' },
    })
    expect(built, built.stderr).toMatchObject({ code: 0 })
  }, 300_000)
  afterAll(() => places?.close())

  it.each<[string, PlaceName]>([
    ['as it is', 'plain'],
    // The suite knows no base path.
    ['behind nginx with TLS', 'behind nginx with TLS and a base path'],
  ])('fails nothing %s', async (_, name) => {
    const { url, authority } = places.of(name)
    const report = join(places.folder, `report-${name.replaceAll(' ', '-')}`)
    mkdirSync(report)
    const outcome = await run(programme, [], {
      cwd: report,
      env: {
        ...workflows,
        OCI_ROOT_URL: url,
        OCI_NAMESPACE: 'conformance/one',
        OCI_CROSSMOUNT_NAMESPACE: 'conformance/two',
        OCI_REPORT_DIR: report,
        ...(authority === undefined ? {} : { SSL_CERT_FILE: authority }),
      },
    })
    const junit = readFileSync(join(report, 'junit.xml'), 'utf8')
    const skipped = [...junit.matchAll(/<testcase name="([^"]*)"[^>]*>\s*<skipped/g)].map(
      ([, title]) => title,
    )
    const [, passed, failed] =
      /(\d+) Passed.*?(\d+) Failed/.exec(outcome.stdout.replaceAll(colours, '')) ?? []
    expect({ passed, failed, code: outcome.code, skipped: skipped.length }, outcome.stdout).toEqual({
      passed: '75',
      failed: '0',
      code: 0,
      // Two set-ups for registries that nobody can push to, and two answers that a registry without automatic mounts gives.
      skipped: 4,
    })
  })
})

/** Where Go keeps what it fetched and built before. */
const { HOME, GOPATH, GOCACHE, GOPROXY } = process.env
const toolchain = { HOME, GOPATH, GOCACHE, GOPROXY }

const suite = 'github.com/opencontainers/distribution-spec/conformance'

// biome-ignore lint/suspicious/noControlCharactersInRegex: what colours a terminal begins with one
const colours = /\u001b\[[0-9;]*m/g
