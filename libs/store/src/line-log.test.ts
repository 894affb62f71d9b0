import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Layout } from './layout.ts'
import { LineLog } from './line-log.ts'
import { Session } from './session.ts'
import { storeOptions, temporaryStore } from './testing/temporary-store.ts'

const [a, b] = ['a'.repeat(64), 'b'.repeat(64)]

async function emptyLog(maxBytes = 10_000) {
  const { root } = await temporaryStore()
  const path = join(root, 'v1', 'index', 'test', 'log')
  const open = () => {
    const kept = (lines: readonly string[]) => lines.slice(0, 2)
    const options = { path, format: 'test 1', form: /^[0-9a-f]{64} /, maxBytes, kept }
    return new LineLog(options, new Session(new Layout(root), storeOptions(root)))
  }
  return { path, open, log: open() }
}

describe('LineLog', () => {
  it('find() gives the lines of a name, newest first, also those that others append', async () => {
    const { log, open } = await emptyLog()
    expect(log.find(a)).toEqual([])
    log.append([`${a} 1`, `${b} 1`])
    expect(log.find(a)).toEqual([`${a} 1`])
    open().append([`${a} 2`])
    expect(log.find(a)).toEqual([`${a} 2`, `${a} 1`])
  })

  it('append() begins a new line where a full disk left half of one', async () => {
    const { log, path, open } = await emptyLog()
    log.append([`${a} 1`])
    writeFileSync(path, `${readFileSync(path, 'utf8')}${b} ha`)
    log.append([`${a} 2`])
    expect(open().find(a)).toEqual([`${a} 2`, `${a} 1`])
  })

  it('append() shortens a file that is too long', async () => {
    const { log, path } = await emptyLog(200)
    for (let n = 0; n < 10; n++) log.append([`${a} ${n}`])
    expect(readFileSync(path).length).toBeLessThan(400)
    expect(log.find(a)?.slice(0, 2)).toEqual([`${a} 9`, `${a} 8`])
  })

  it.each<[string, (path: string) => void]>([
    ['a directory', (path) => mkdirSync(join(path, 'x'), { recursive: true })],
    ['a link', (path) => symlinkSync('/etc/passwd', path)],
    ['a FIFO', (path) => execFileSync('mkfifo', [path])],
    [
      'a file in the place of its directory',
      (path) => {
        rmSync(dirname(path), { recursive: true })
        writeFileSync(dirname(path), '')
      },
    ],
  ])('%s in its place holds nothing, and goes with the next line', async (_, damage) => {
    const { log, path, open } = await emptyLog()
    log.append([`${a} 1`])
    rmSync(path)
    damage(path)
    expect(open().find(a) ?? []).toEqual([])
    log.append([`${a} 2`])
    expect(open().find(a)).toEqual([`${a} 2`])
    rmSync(path)
    damage(path)
    log.replace([`${a} 3`])
    expect(open().find(a)).toEqual([`${a} 3`])
  })
})
