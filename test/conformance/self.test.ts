import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { readCase } from './support/case.ts'
import { checkCase } from './support/check-case.ts'
import { updateCase } from './support/update.ts'
import { shareWorkshop } from './support/workshop.ts'

const workshop = shareWorkshop()
const folder = mkdtempSync(join(tmpdir(), 'tsbuild-conformance-self-'))
beforeEach((context) => needs(context, 'root'))
afterAll(async () => {
  await workshop.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Writes a case; its want.json is the value as JSON. */
function plant(
  name: string,
  dockerfile: string,
  want: unknown,
  others: Readonly<Record<string, string>> = {},
) {
  const path = join(folder, name)
  mkdirSync(path, { recursive: true })
  const all = { Dockerfile: dockerfile, 'want.json': JSON.stringify(want), ...others }
  for (const [file, text] of Object.entries(all)) writeFileSync(join(path, file), text)
  return path
}

async function holds(path: string): Promise<boolean> {
  const { wanted, found } = await checkCase(readCase(path), workshop)
  return isDeepStrictEqual(wanted, found)
}

const from = { kind: 'from', range: '1:0-1:12', image: 'scratch' }
const copyOne = 'FROM scratch\nCOPY one /a\n'
const one = { 'context.json': '{ "one": { "text": "1", "mode": "0600" } }' }
const entry = { text: '1', mode: '0600' }

describe('the runner of the corpus', () => {
  it.each([
    ['nothing wrong', true, { instructions: [from] }],
    ['a wrong range', false, { instructions: [{ ...from, range: '1:0-1:11' }] }],
    ['a member too many', false, { instructions: [{ ...from, platform: null }] }],
    ['a member too few', false, { instructions: [{ kind: 'from', range: '1:0-1:12' }] }],
    ['an instruction too few', false, { instructions: [] }],
    ['wrong words', false, { instructions: [{ ...from, words: ['1:5-1:12 Scratch'] }] }],
    ['wrong stages', false, { instructions: [from], stages: [{ name: 'x' }] }],
  ])('finds %s among instructions', async (_, expected, want) => {
    const path = plant('instructions', 'FROM scratch', { kind: 'instructions', ...want })
    expect(await holds(path)).toBe(expected)
  })

  it.each([
    ['nothing wrong', true, { tree: { a: entry } }],
    ['wrong content', false, { tree: { a: { ...entry, text: '2' } } }],
    ['a wrong digest', false, { tree: { a: { mode: '0600', size: 1, sha256: 'f'.repeat(64) } } }],
    ['a wrong mode', false, { tree: { a: '1' } }],
    ['a wrong owner', false, { tree: { a: { ...entry, owner: '1:1' } } }],
    ['a wrong time', false, { tree: { a: { ...entry, mtime: 1 } } }],
    ['a wrong attribute', false, { tree: { a: { ...entry, xattrs: { 'user.a': 'b' } } } }],
    ['a wrong type', false, { tree: { 'a/': {} } }],
    ['a file too many', false, { tree: {} }],
    ['a file too few', false, { tree: { a: entry, b: '' } }],
    ['a removal that did not happen', false, { since: 'test-base:1', tree: { a: entry, srv: null } }],
    ['a member of the config', false, { tree: { a: entry }, config: { User: 'web' } }],
    ['a member of the config that is there', false, { tree: { a: entry }, config: { Env: null } }],
    ['a wrong history', false, { tree: { a: entry }, history: [{ created_by: 'COPY two /a # buildkit' }] }],
    ['a wrong number of layers', false, { tree: { a: entry }, layers: 2 }],
    ['a wrong author', false, { tree: { a: entry }, author: 'me' }],
    ['a warning', false, { tree: { a: entry }, warnings: [{ rule: 'x', line: 1, message: 'x' }] }],
  ])('finds %s in an image', async (_, expected, want) => {
    const path = plant('image', copyOne, { kind: 'image', ...want }, one)
    expect(await holds(path)).toBe(expected)
  })

  const failing = { code: 'ERR_COPY_SOURCE_NOT_FOUND', line: 2, message: 'two' }
  it.each([
    ['nothing wrong', true, failing],
    ['a wrong code', false, { ...failing, code: 'ERR_USAGE' }],
    ['a wrong line', false, { ...failing, line: 1 }],
    ['a wrong last line', false, { ...failing, endLine: 3 }],
    ['a wrong message', false, { ...failing, message: 'three' }],
    ['a wrong hint', false, { ...failing, hint: 'three' }],
  ])('finds %s in an error', async (_, expected, want) => {
    const path = plant('error', 'FROM scratch\nCOPY two /a\n', { kind: 'error', ...want }, one)
    expect(await holds(path)).toBe(expected)
  })

  it('finds an error that did not happen', async () => {
    const path = plant('no-error', copyOne, { kind: 'error', ...failing }, one)
    await expect(checkCase(readCase(path), workshop)).rejects.toThrow('the build succeeded')
  })

  it('finds a failure where an image is wanted', async () => {
    const path = plant('no-image', 'FROM scratch\nCOPY two /a\n', { kind: 'image', tree: {} }, one)
    await expect(checkCase(readCase(path), workshop)).rejects.toMatchObject({ code: failing.code })
  })

  it('finds a second build that took the wrong step from the cache', async () => {
    const step = ['COPY one /a']
    const want = (text: string, again: object) => ({ kind: 'image', tree: { a: text }, again })
    const again = (text: string) => ({ ...one, 'again.json': JSON.stringify({ one: text }) })
    const right = want('again 2', { executed: step, cached: [] })
    expect(await holds(plant('again', copyOne, right, again('again 2')))).toBe(true)
    const wrong = want('again 3', { executed: [], cached: step })
    expect(await holds(plant('again', copyOne, wrong, again('again 3')))).toBe(false)
  })

  it.each([
    ['an unknown key', { kind: 'image', tree: {}, files: {} }, {}, /want\.json: unknown key files/],
    ['an unknown key of a file', { kind: 'image', tree: { a: { uid: 1 } } }, {}, /"a": unknown key uid/],
    ['an unknown kind', { kind: 'images' }, {}, /want\.json\.kind: expected "instructions"/],
    [
      'a want of the wrong kind',
      { kind: 'error', code: 1, line: 1, message: '' },
      {},
      /code: expected a string/,
    ],
    ['an unknown flag', { kind: 'image', tree: {} }, { 'args.json': '{ "tag": "x" }' }, /unknown key tag/],
    ['a stray file', { kind: 'image', tree: {} }, { note: '' }, /note means nothing in a case/],
  ])('refuses %s', (_, want, others, message) => {
    rmSync(join(folder, 'refused'), { recursive: true, force: true })
    const path = plant('refused', 'FROM scratch', want, others)
    expect(() => readCase(path)).toThrow(message)
  })

  it('writes a want.json only for the kind that is asked for, and then it holds', async () => {
    const path = plant('new', copyOne, { kind: 'image', tree: {} }, one)
    expect(await holds(path)).toBe(false)
    await updateCase(path, undefined, workshop)
    expect(await holds(path)).toBe(true)
    rmSync(join(path, 'want.json'))
    await expect(updateCase(path, undefined, workshop)).rejects.toThrow('say the kind')
    await updateCase(path, 'instructions', workshop)
    expect(await holds(path)).toBe(true)
  })
})
