import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { GrowingBlob } from './growing-blob.ts'

let path: string
beforeEach(() => {
  const folder = mkdtempSync(join(tmpdir(), 'tsbuild-growing-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  path = join(folder, 'blob')
  writeFileSync(path, '')
})

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Reads in the background; what came so far, and how it ended. */
function reading(blob: GrowingBlob) {
  const seen = { text: '' }
  const work = async () => {
    for await (const chunk of blob.read()) seen.text += chunk.toString()
  }
  const ended = work().then(
    () => 'whole',
    (error: Error) => error.message,
  )
  return { seen, ended }
}

describe('GrowingBlob', () => {
  it('read() gives what is there as soon as it is there, and ends where the blob does', async () => {
    const blob = new GrowingBlob(6)
    const { seen, ended } = reading(blob)
    blob.begins(path)
    for (const [text, position] of [
      ['abc', 3],
      ['def', 6],
    ] as const) {
      appendFileSync(path, text)
      blob.grew(position)
      while (seen.text.length < position) await turn()
    }
    expect([seen.text, await ended]).toEqual(['abcdef', 'whole'])
  })

  it('read() gives no byte that is not said to be there', async () => {
    const blob = new GrowingBlob(6)
    writeFileSync(path, 'abcdef')
    const { seen, ended } = reading(blob)
    blob.begins(path)
    blob.grew(2)
    while (seen.text.length < 2) await turn()
    await turn()
    expect(seen.text).toBe('ab')
    blob.ended()
    expect(await ended).toBe('the blob does not come')
  })

  it('read() reads on from a file that has got its name meanwhile', async () => {
    const blob = new GrowingBlob(4)
    const { seen, ended } = reading(blob)
    writeFileSync(path, 'abcd')
    blob.begins(path)
    blob.grew(2)
    while (seen.text.length < 2) await turn()
    renameSync(path, `${path}-whole`)
    blob.grew(4)
    blob.ended()
    expect([await ended, seen.text]).toEqual(['whole', 'abcd'])
  })

  it('read() fails when bytes that were given are written again', async () => {
    const blob = new GrowingBlob(4)
    const { seen, ended } = reading(blob)
    writeFileSync(path, 'abcd')
    blob.begins(path)
    blob.grew(2)
    while (seen.text.length < 2) await turn()
    blob.restarts()
    expect(await ended).toBe('the blob does not come')
  })

  it('hasBegun() is false when nothing came before the end', async () => {
    const blob = new GrowingBlob(4)
    const begun = blob.hasBegun()
    blob.ended()
    expect(await begun).toBe(false)
  })
})
