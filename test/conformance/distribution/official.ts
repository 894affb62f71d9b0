import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../../support/tsbuild.ts'
import { openPlaces, type Places } from './places.ts'

/** Runs the official programme, given its binary: see README.md for why it is not built here. */
export function describeOfficial(programme: string): void {
  describe('the official programme', () => {
    let places: Places
    beforeAll(async () => {
      places = await openPlaces('official')
    })
    afterAll(() => places?.close())

    it.each(['plain', 'behind nginx with TLS and a base path'] as const)(
      'fails nothing: %s',
      async (name) => {
        const { url, authority } = places.of(name)
        const results = join(places.folder, name.replaceAll(' ', '-'))
        const outcome = await run(programme, [], {
          env: {
            OCI_REGISTRY: url.replace(/^https?:\/\//, ''),
            OCI_TLS: url.startsWith('https') ? 'enabled' : 'disabled',
            OCI_REPO1: 'conformance/one',
            OCI_REPO2: 'conformance/two',
            OCI_VERSION: '1.1+dev',
            OCI_RESULTS_DIR: results,
            ...(authority === undefined ? {} : { SSL_CERT_FILE: authority }),
          },
        })
        const [, tests = '0', errors = '', failures = ''] =
          /<testsuites tests="(\d+)" errors="(\d+)" failures="(\d+)"/.exec(
            readFileSync(join(results, 'junit.xml'), 'utf8'),
          ) ?? []
        expect({ errors, failures, output: outcome.code === 0 ? '' : outcome.stdout }).toEqual({
          errors: '0',
          failures: '0',
          output: '',
        })
        expect(Number(tests)).toBeGreaterThan(600)
      },
    )
  })
}
