import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { type OutputType, outputAttributes, outputTypes } from './output-attributes.ts'
import { parseOutput } from './output-spec.ts'

const targets = { cwd: '/src', stdout: new PassThrough() }
const parse = (text: string) => parseOutput(text, targets)

/** What each output needs besides the attribute under test. */
const needed: Readonly<Record<OutputType, string>> = {
  image: 'push=true',
  registry: 'name=r',
  oci: 'dest=x',
  docker: 'dest=x',
  local: 'dest=x',
  tar: 'dest=x',
  cacheonly: 'type=cacheonly',
}

const truths = ['true', '1', 'T'] as const
const lies = ['false', '0', 'F'] as const
const flagOf = (field: string) => ({
  good: [
    ...truths.map((value) => [value, { [field]: true }] as const),
    ...lies.map((value) => [value, { [field]: false }] as const),
  ],
  bad: ['', 'yes', 'tru'],
})

/** For each attribute what values give, and values that are none. */
const values: Readonly<
  Record<string, { readonly good: readonly (readonly [string, object])[]; readonly bad: readonly string[] }>
> = {
  dest: { good: [['/y', { dest: '/y' }]], bad: [''] },
  name: { good: [['a:1', { names: ['a:1'] }]], bad: ['', '","'] },
  push: { good: [['true', { push: true }]], bad: ['', 'perhaps'] },
  'push-by-digest': flagOf('pushByDigest'),
  'registry.insecure': flagOf('insecure'),
  'name-canonical': flagOf('nameCanonical'),
  store: flagOf('store'),
  unpack: {
    good: [
      ['true', {}],
      ['false', {}],
    ],
    bad: ['', 'no'],
  },
  'dangling-name-prefix': { good: [['p', { danglingNamePrefix: 'p' }]], bad: [''] },
  'danging-name-empty-only': flagOf('danglingNameEmptyOnly'),
  tar: flagOf('tar'),
  compression: {
    good: [
      ['gzip', { compression: { type: 'gzip' } }],
      ['zstd', { compression: { type: 'zstd' } }],
      ['estargz', { compression: { type: 'estargz' } }],
      ['uncompressed', { compression: { type: 'uncompressed' } }],
    ],
    bad: ['', 'lz4', 'GZIP'],
  },
  'compression-level': {
    good: [
      ['0', { compression: { type: 'gzip', level: 0 } }],
      ['9', { compression: { type: 'gzip', level: 9 } }],
    ],
    bad: ['', '10', '-1', '1.5', 'best'],
  },
  'force-compression': flagOf('forceCompression'),
  'oci-mediatypes': flagOf('ociMediaTypes'),
  'oci-artifact': flagOf('ociArtifact'),
  'attestation-inline': flagOf('attestationInline'),
  'prefer-nondist-layers': flagOf('preferNonDistributable'),
  'rewrite-timestamp': flagOf('rewriteTimestamp'),
  'source-date-epoch': {
    good: [
      ['0', { sourceDateEpoch: 0 }],
      ['1700000000', { sourceDateEpoch: 1_700_000_000 }],
      ['253402300799', { sourceDateEpoch: 253_402_300_799 }],
      ['', { sourceDateEpoch: null }],
    ],
    bad: ['-1', '253402300800', 'context', '1e9'],
  },
  'compatibility-version': {
    good: [
      ['10', { compatibilityVersion: 10 }],
      ['20', { compatibilityVersion: 20 }],
      ['30', { compatibilityVersion: 30 }],
    ],
    bad: ['', '40', '3', '030'],
  },
  'platform-split': flagOf('platformSplit'),
  'attestation-prefix': { good: [['p-', { attestationPrefix: 'p-' }]], bad: [''] },
  mode: {
    good: [
      ['copy', { mode: 'copy' }],
      ['delete', { mode: 'delete' }],
    ],
    bad: ['', 'move'],
  },
}

describe('outputAttributes', () => {
  it('have values in this test, each of them, and names of their own', () => {
    expect(outputAttributes.map(({ name }) => name).toSorted()).toEqual(Object.keys(values).toSorted())
  })

  describe.each(outputAttributes.map((attribute) => [attribute.name, attribute] as const))(
    '%s',
    (name, { types }) => {
      const { good = [], bad = [] } = values[name] ?? {}

      it.each(types)('of %s gives what its values say, and refuses others', (type) => {
        for (const [value, expected] of good) {
          // What stands later counts.
          const spec = parse(`type=${type},${needed[type]},${name}=${value}`)
          expect(spec).toMatchObject({ type, ...expected })
        }
        for (const value of bad) {
          const text = `type=${type},${needed[type]},${name}=${value}`
          expect(() => parse(text), text).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
        }
      })

      const others = outputTypes.filter((type) => !types.includes(type))
      it.each(others)('is refused for %s', (type) => {
        const [value] = good[0] ?? ['']
        expect(() => parse(`type=${type},${name}=${value}`)).toThrow(
          expect.objectContaining({
            code: 'ERR_USAGE',
            message: expect.stringContaining(`type "${type}" takes no ${name}`),
          }),
        )
      })
    },
  )
})
