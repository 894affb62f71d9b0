import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { temporaryDirectory } from '@tsbuild/store/testing'
import { buildSync } from 'esbuild'
import { describe, expect, it } from 'vitest'
import { openGitFixture } from '../testing/git-fixture.ts'
import { findProgram } from '../testing/programs.ts'

/** Processes that have the text in their command line. */
function processesWith(text: string): readonly string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text)
    } catch {
      return false
    }
  })
}

/** Until there are as many as wanted, or the test's time is over. */
async function until(wanted: (count: number) => boolean, text: string): Promise<void> {
  while (!wanted(processesWith(text).length)) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** A server that says nothing to whoever wants to fetch. */
async function openStalled(sources: Parameters<typeof openGitFixture>[0] = {}) {
  let asked = () => {}
  const fetching = new Promise<void>((resolve) => {
    asked = resolve
  })
  let stalls = true
  const fixture = await openGitFixture({
    ...sources,
    intercept: ({ command }) => {
      if (command !== 'fetch' || !stalls) return false
      asked()
      return true
    },
  })
  const commit = fixture.repository('r').commit({ a: 'a' })
  const recover = () => {
    stalls = false
  }
  return { fixture, fetching, commit, recover }
}

describe('git()', { timeout: 60_000 }, () => {
  it('ends with all that git started when the signal fires, and the next fetch works', async () => {
    const { fixture, fetching, commit, recover } = await openStalled()
    const controller = new AbortController()
    const result = fixture.fetch({}, controller.signal).catch((error: unknown) => error)
    await fetching
    expect(processesWith(fixture.server.origin).length).toBeGreaterThan(1)
    controller.abort()
    expect(await result).toMatchObject({ code: 'ERR_CANCELLED' })
    await until((count) => count === 0, fixture.server.origin)
    recover()
    expect(await fixture.fetch()).toMatchObject({ pinned: commit })
  })

  it('does not begin when the signal has fired', async () => {
    const fixture = await openGitFixture()
    await expect(fixture.fetch({}, AbortSignal.abort())).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    expect(fixture.server.requests).toEqual([])
  })

  it('gives up on a server that is silent', async () => {
    const { fixture } = await openStalled({ sources: { silenceMs: 1000 } })
    await expect(fixture.fetch()).rejects.toMatchObject({
      code: 'ERR_GIT_FAILED',
      message: expect.stringContaining('nothing was heard for 1 s'),
    })
  })

  it('one caller that is cancelled does not take the other along', async () => {
    const { fixture, fetching, commit, recover } = await openStalled()
    const controller = new AbortController()
    const first = fixture.fetch({}, controller.signal).catch((error: unknown) => error)
    await fetching
    const second = fixture.fetch()
    recover()
    controller.abort()
    expect(await first).toMatchObject({ code: 'ERR_CANCELLED' })
    expect(await second).toMatchObject({ pinned: commit })
  })

  it('gives bytes received, as git counts them', async () => {
    const fixture = await openGitFixture()
    const noise = randomBytes(200_000)
    fixture.repository('r').commit({ noise })
    const seen: number[] = []
    const source = { ref: '', subdir: '', checksum: undefined, keepGitDir: false, submodules: true }
    const { signal } = new AbortController()
    await fixture.sources.git(
      { ...source, remote: fixture.remote('r'), mtime: 'checkout' },
      { signal, onProgress: (received) => seen.push(received) },
    )
    expect(seen.at(-1)).toBeGreaterThan(1000)
  })

  it('leaves no scratch directory', async () => {
    const fixture = await openGitFixture()
    fixture.repository('r').commit({ 'd/a': 'a' })
    await fixture.fetch({ subdir: 'd' })
    await fixture.fetch({ ref: 'nope' }).catch(() => undefined)
    const sessions = join(fixture.store.root, 'v1', 'ingest')
    const left = readdirSync(sessions).flatMap((session) => readdirSync(join(sessions, session)))
    expect(left.filter((name) => name.startsWith('scratch-'))).toEqual([])
  })
})

describe('a process that is killed', { timeout: 60_000 }, () => {
  it('takes git and what it started along', async () => {
    const { fixture, fetching } = await openStalled()
    const program = join(temporaryDirectory('killed-'), 'fetch.mjs')
    const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
    buildSync({
      entryPoints: [here('../testing/fetching-process.ts')],
      outfile: program,
      bundle: true,
      platform: 'node',
      format: 'esm',
      alias: { '@tsbuild/errors': here('../../../errors/src/index.ts') },
    })
    const remote = fixture.remote('r')
    const child = spawn(process.execPath, [program, findProgram('git'), remote, temporaryDirectory('home-')])
    await fetching
    expect(processesWith(remote).length).toBeGreaterThan(2)
    child.kill('SIGKILL')
    await until((count) => count === 0, remote)
  })
})

describe('the program git', { timeout: 60_000 }, () => {
  it.each([
    ['is missing', undefined, 'not in PATH'],
    ['is too old to take its configuration from the environment', 'git version 2.30.2', '2.31 or newer'],
    ['is something else', 'hello', '2.31 or newer'],
    ['does not run', "'; exit 7; '", 'does not run'],
  ])('ERR_TOOL_MISSING with how to install it when it %s', async (_what, version, why) => {
    const folder = temporaryDirectory('bin-')
    if (version !== undefined) {
      writeFileSync(join(folder, 'git'), `#!/bin/sh\necho '${version}'\n`)
      chmodSync(join(folder, 'git'), 0o755)
    }
    const fixture = await openGitFixture({ sources: { env: { PATH: folder } } })
    await expect(fixture.fetch()).rejects.toMatchObject({
      code: 'ERR_TOOL_MISSING',
      message: expect.stringContaining(why),
      hints: [expect.stringContaining('apt-get install git')],
    })
  })
})
