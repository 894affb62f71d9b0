import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { errorCodes } from '../../libs/errors/src/codes.ts'
import { listFiles, readText, repository } from '../support/repository.ts'

/** Codes of Node.js itself that our code asks for, and one that never leaves its lib. */
const nodeCodes = new Set([
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_INVALID_ARG_VALUE',
  'ERR_INVALID_ARG_TYPE',
  'ERR_INVALID_URL',
  'ERR_PARSE_ARGS_UNKNOWN_OPTION',
  'ERR_MODULE_NOT_FOUND',
  'ERR_STREAM_DESTROYED',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  // What a broken helper says in a test.
  'ERR_HTTP_REQUEST_TIMEOUT',
  'ERR_JWT_EXPIRED',
  'ERR_BORED',
  // Made and caught inside of libs/registry; never shown.
  'ERR_INTERNAL_ADDRESS',
])

/** OpenSSL has as many as there are alerts. */
const isNodes = (code: string) => nodeCodes.has(code) || code.startsWith('ERR_SSL_')
const used = (paths: readonly string[]) =>
  new Set(
    paths.flatMap((path) =>
      [...readText(path).matchAll(/\bERR_[A-Z0-9_]+[A-Z0-9]\b/g)].map((match) => match[0]),
    ),
  )
const product = listFiles().filter(
  (path) =>
    /^(libs|apps)\/.*\/src\/.*\.ts$|^native\/helper\/src\/.*\.rs$/.test(path) && !path.includes('.test.'),
)

describe('error codes', () => {
  it('that are used are in the table', () => {
    const unknown = [...used(product)].filter((code) => !Object.hasOwn(errorCodes, code) && !isNodes(code))
    expect(unknown).toEqual([])
  })

  it('of the table are used somewhere', () => {
    const elsewhere = used(product.filter((path) => path !== 'libs/errors/src/codes.ts'))
    expect(Object.keys(errorCodes).filter((code) => !elsewhere.has(code))).toEqual([])
  })

  it('in tests and documents are in the table', () => {
    const paths = listFiles().filter(
      (path) => /\.(test\.ts|md)$/.test(path) && path !== 'test/repo/codes.test.ts',
    )
    const unknown = [...used(paths)].filter((code) => !Object.hasOwn(errorCodes, code) && !isNodes(code))
    expect(unknown).toEqual([])
  })
})

describe('protocol goldens', () => {
  const folder = join(repository, 'test/protocol')

  it('exist for every request of the helper', () => {
    expect(existsSync(folder)).toBe(true)
    const goldens = readdirSync(folder).filter((name) => name.endsWith('.json'))
    const ops = new Set(
      goldens.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8'))?.envelope?.request?.op),
    )
    expect(requestNames().filter((name) => !ops.has(name))).toEqual([])
  })
})

/** The variants of `enum Request` in protocol.rs, as they are spelled on the wire. */
function requestNames(): readonly string[] {
  const body =
    readText('native/helper/src/protocol.rs')
      .split(/enum Request \{/)[1]
      ?.split(/^\}/m)[0] ?? ''
  const names = [...body.matchAll(/^ {4}([A-Z]\w+)\s*[({]/gm)].map((match) => match[1] ?? '')
  expect(names.length).toBeGreaterThanOrEqual(7)
  return names.map((name) => `${name.charAt(0).toLowerCase()}${name.slice(1)}`)
}
