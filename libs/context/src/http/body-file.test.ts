import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { digestBytes } from '@tsbuild/digest'
import { LocalFailure } from '@tsbuild/http'
import { temporaryDirectory } from '@tsbuild/store/testing'
import { describe, expect, it } from 'vitest'
import { BodyFile } from './body-file.ts'

describe('BodyFile', () => {
  it('makes its file when there is something to write, and knows its digest', async () => {
    let asked = 0
    const path = join(temporaryDirectory(), 'body')
    const body = new BodyFile(async () => {
      asked += 1
      return path
    })
    await body.restart()
    expect(asked).toBe(0)
    for (const chunk of ['ab', 'c']) await body.append(Buffer.from(chunk))
    expect(await body.finish()).toEqual({ path, digest: digestBytes('abc'), size: 3 })
    await body.close()
    expect([readFileSync(path, 'utf8'), asked]).toEqual(['abc', 1])
  })

  it('restart() forgets what was written', async () => {
    const path = join(temporaryDirectory(), 'body')
    const body = new BodyFile(async () => path)
    await body.append(Buffer.from('longer'))
    await body.restart()
    expect(body.position).toBe(0)
    await body.append(Buffer.from('new'))
    expect(await body.finish()).toMatchObject({ digest: digestBytes('new'), size: 3 })
    await body.close()
    expect(readFileSync(path, 'utf8')).toBe('new')
  })

  it('append() fails past the retries when the disk does', async () => {
    const body = new BodyFile(async () => join(temporaryDirectory(), 'missing', 'body'))
    const error: unknown = await body.append(Buffer.from('x')).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(LocalFailure)
    expect(error).toMatchObject({ cause: { code: 'ERR_STORE_IO', kind: 'environment' } })
  })
})
