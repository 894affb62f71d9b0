import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseSecrets } from './secrets.ts'

let cwd: string
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'tsbuild-secrets-'))
  for (const name of ['token', 'VARIABLE', 'FILE']) writeFileSync(join(cwd, name), `file ${name}`)
  writeFileSync(join(cwd, 'most'), Buffer.alloc(500 * 1024))
  writeFileSync(join(cwd, 'large'), '')
  truncateSync(join(cwd, 'large'), 500 * 1024 + 1)
})
afterAll(() => rmSync(cwd, { recursive: true }))

const env = { VARIABLE: 'variable', OTHER: 'other', EMPTY: '', LONG: 'x'.repeat(500 * 1024 + 1) }
const readerOf = (...given: readonly string[]) => parseSecrets(given, { env, cwd })
const read = async (text: string) => {
  const [reader] = Object.values(readerOf(text))
  return Buffer.from((await reader?.()) ?? []).toString()
}

describe('parseSecrets()', () => {
  it.each([
    ['id=VARIABLE', 'variable'],
    ['id=EMPTY', ''],
    ['id=FILE', 'file FILE'],
    ['id=x,env=OTHER', 'other'],
    ['id=x,src=token', 'file token'],
    ['id=x,source=token', 'file token'],
    ['src=token,id=x', 'file token'],
    ['id=x,src=VARIABLE', 'file VARIABLE'],
    ['id=VARIABLE,type=file', 'file VARIABLE'],
    ['id=VARIABLE,type=env', 'variable'],
    ['id=x,type=env,src=OTHER', 'other'],
    ['id=x,type=file,src=token', 'file token'],
    ['id=x,"src=token"', 'file token'],
  ])('parseSecrets() reads %s', async (text, expected) => {
    expect(await read(text)).toBe(expected)
  })

  it('parseSecrets() reads a file of 500 KiB and no larger one', async () => {
    expect(await read('id=x,src=most')).toHaveLength(500 * 1024)
    await expect(read('id=x,src=large')).rejects.toMatchObject({ code: 'ERR_SECRET' })
    await expect(read('id=LONG')).rejects.toMatchObject({ code: 'ERR_SECRET' })
  })

  it.each([
    ['id=x,env=NONE', 'the variable NONE is not set'],
    ['id=x,src=.', 'is no file'],
  ])('parseSecrets() throws ERR_SECRET for %s, and not before it is read', async (text, why) => {
    const { ...secrets } = readerOf(text)
    await expect(Object.values(secrets)[0]?.()).rejects.toMatchObject({
      kind: 'user',
      code: 'ERR_SECRET',
      message: expect.stringContaining(why),
    })
  })

  it.each([
    ['id=none', 'there is no variable "none" and no "'],
    ['id=x,src=none', 'there is no "'],
  ])('parseSecrets() throws ERR_SECRET at once for %s, whether a step asks for it or not', (text, why) => {
    const message = expect.stringContaining(`${why}${cwd}/none"`)
    expect(() => readerOf(text)).toThrow(
      expect.objectContaining({ kind: 'user', code: 'ERR_SECRET', message }),
    )
  })

  it.each([
    '',
    'x',
    'src=x',
    'id=',
    'id=x,what=y',
    'id=x,src=a,env=B',
    'id=x,type=dir',
    'id=x,id=y',
    'id=x,type=file,env=A',
  ])('parseSecrets() throws ERR_USAGE for "%s"', (text) => {
    expect(() => readerOf(text)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  })

  it('parseSecrets() throws ERR_USAGE for two of one id', () => {
    expect(() => readerOf('id=x,src=token', 'id=x,env=OTHER')).toThrow(
      expect.objectContaining({
        code: 'ERR_USAGE',
        message: 'Cannot use --secret "id=x,env=OTHER": the secret "x" is given twice',
      }),
    )
  })

  it('parseSecrets() takes ids that objects have by themselves', async () => {
    const readers = readerOf('id=__proto__,env=OTHER', 'id=toString,env=OTHER')
    expect(Object.keys(readers)).toEqual(['__proto__', 'toString'])
    expect(String(await Object.values(readers)[0]?.())).toBe('other')
  })

  it('parseSecrets() reads a pipe, to its limit', async () => {
    const pipe = join(cwd, 'pipe')
    execFileSync('mkfifo', [pipe])
    const written = async (bytes: number) => {
      const reading = read('id=x,src=pipe')
      const [text] = await Promise.allSettled([reading, writeFile(pipe, 'x'.repeat(bytes))])
      return text
    }
    expect(await written(3)).toMatchObject({ value: 'xxx' })
    expect(await written(500 * 1024 + 1)).toMatchObject({ reason: { code: 'ERR_SECRET' } })
  })

  it('parseSecrets() says which device it does not read, and which file may not be read', async () => {
    await expect(read('id=x,src=/dev/zero')).rejects.toMatchObject({ code: 'ERR_SECRET' })
    await expect(read('id=x,src=/proc/self/mem')).rejects.toMatchObject({
      code: 'ERR_SECRET',
      message: expect.stringMatching(/^Cannot read the secret "x": E/),
    })
  })
})
