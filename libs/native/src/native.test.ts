import { chmodSync } from 'node:fs'
import { PassThrough, Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { type Cancellable, createNative } from './index.ts'
import { answering, fakeHelper, nativeOf } from './testing/fake-helper.ts'

const root = { lower: [], upper: null, work: null }
const done = { event: 'result', result: { op: 'usage', bytes: [4096] } }
const usage = (body: string) => nativeOf(body).usage(['/tree'])
/** An operation that can be given up. */
const exporting = (body: string, options: Cancellable) =>
  nativeOf(body).exportDirectory(root, '/out', options)
const exported = { event: 'result', result: { op: 'export', files: 1, bytes: 2 } }

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('Native', () => {
  it('gives the result when the helper ends well', async () => {
    expect(await usage(answering(done))).toEqual([4096])
  })

  it('hands on progress and warnings', async () => {
    const seen: unknown[] = []
    const warning = { event: 'warning', code: 'SocketSkipped', message: 'a socket' }
    const body = answering({ event: 'progress', bytes: 7 }, warning, exported)
    await exporting(body, { onProgress: (bytes) => seen.push(bytes), onWarning: (text) => seen.push(text) })
    expect(seen).toEqual([7, 'a socket'])
  })

  it('gives the helper no variable of the environment', async () => {
    const body = `reply({ event: 'result', result: { op: 'usage', bytes: [Object.keys(process.env).length] } })`
    expect(await usage(body)).toEqual([0])
  })

  it.each(['user', 'environment', 'internal'])("throws the helper's own error of kind %s", async (kind) => {
    const error = {
      event: 'error',
      kind,
      code: 'ERR_STORE_NO_SPACE',
      message: 'write(3) = -1',
      errno: 'ENOSPC',
    }
    await expect(usage(`${answering(error)}; process.exitCode = 1`)).rejects.toMatchObject({
      kind,
      code: 'ERR_STORE_NO_SPACE',
      message: 'write(3) = -1',
      details: { errno: 'ENOSPC' },
    })
  })

  it.each([
    ['dies', `process.kill(process.pid, 'SIGSEGV'); await new Promise(() => {})`, /signal SIGSEGV/],
    [
      'says why it dies',
      `process.stderr.write('out of cheese'); process.exitCode = 3`,
      /code 3.*out of cheese/,
    ],
    ['ends without a word', '', /exit code 0/],
    ['answers another question', answering(exported), /"usage"/],
    ['ends badly after its result', `${answering(done)}; process.exitCode = 1`, /exit code 1/],
    ['gives two results', answering(done, done), /result/],
    ['writes garbage', `write(1, 'Killed\\n')`, /"Killed"/],
    ['writes half a line', `write(1, '{"event":"resu')`, /resu/],
    [
      'gives a code that is not in the table',
      answering({ event: 'error', kind: 'user', code: 'EBORED', message: 'm', errno: null }),
      /EBORED: m/,
    ],
  ])('throws ERR_HELPER_PROTOCOL when the helper %s', async (_, body, message) => {
    await expect(usage(body)).rejects.toMatchObject({
      kind: 'internal',
      code: 'ERR_HELPER_PROTOCOL',
      message: expect.stringMatching(message),
    })
  })

  it('throws ERR_HELPER_KILLED when the helper is killed from outside', async () => {
    const body = `process.kill(process.pid, 'SIGKILL'); await new Promise(() => {})`
    await expect(usage(body)).rejects.toMatchObject({
      kind: 'environment',
      code: 'ERR_HELPER_KILLED',
      message: expect.stringMatching(/Cannot finish "usage"/),
      hints: [expect.stringContaining('memory')],
    })
  })

  it('ends a helper that writes garbage and goes on', async () => {
    const body = `write(1, 'pid ' + process.pid + '\\n'); setInterval(() => {}, 1000)`
    const failure = await usage(body).catch((error: Error) => error)
    expect(failure).toMatchObject({ code: 'ERR_HELPER_PROTOCOL' })
    const pid = Number(/pid (\d+)/.exec(String(failure))?.[1])
    expect(isAlive(pid)).toBe(false)
  })

  it('throws ERR_HELPER_MISSING when there is no such program', async () => {
    const native = createNative({ helperPath: '/nowhere/tsbuild-helper', idMap: undefined })
    await expect(native.probe()).rejects.toMatchObject({
      kind: 'environment',
      code: 'ERR_HELPER_MISSING',
      message: 'Cannot start the helper "/nowhere/tsbuild-helper"',
      hints: [expect.stringContaining('TSBUILD_HELPER')],
    })
  })

  it('throws ERR_HELPER_MISSING when the program cannot be run', async () => {
    const helper = fakeHelper('')
    chmodSync(helper.path, 0o644)
    const native = createNative({ helperPath: helper.path, idMap: undefined })
    await expect(native.exportTar(root, new PassThrough())).rejects.toMatchObject({
      code: 'ERR_HELPER_MISSING',
    })
  })

  it('throws ERR_CANCELLED without a process when the signal has fired already', async () => {
    const helper = fakeHelper(answering(exported))
    const native = createNative({ helperPath: helper.path, idMap: undefined })
    const signal = AbortSignal.abort()
    await expect(native.exportDirectory(root, '/out', { signal })).rejects.toMatchObject({
      code: 'ERR_CANCELLED',
    })
    expect(helper.asked).toThrow(/ENOENT/)
  })

  it.each([
    ['ends on SIGTERM', ''],
    [
      'reports an error on SIGTERM',
      `process.on('SIGTERM', () => { reply({ event: 'error' }); process.exit(1) })`,
    ],
    [
      'gives its result on SIGTERM',
      `process.on('SIGTERM', () => { ${answering(exported)}; process.exit(0) })`,
    ],
    ['takes no notice of SIGTERM', `process.on('SIGTERM', () => {})`],
  ])('throws ERR_CANCELLED, and nothing runs any more, when the helper %s', async (_, onTerm) => {
    const abort = new AbortController()
    let pid = 0
    const onProgress = (bytes: number) => {
      pid = bytes
      abort.abort()
    }
    const body = `${onTerm}; setInterval(() => {}, 1000); reply({ event: 'progress', bytes: process.pid })`
    await expect(exporting(body, { signal: abort.signal, onProgress })).rejects.toMatchObject({
      code: 'ERR_CANCELLED',
    })
    expect(pid).toBeGreaterThan(0)
    expect(isAlive(pid)).toBe(false)
  })
})

describe('Native.scan()', () => {
  const tree = {
    kind: 'directory',
    path: '/context',
    ignore: [],
    fingerprints: null,
    checkoutUmask: null,
  } as const
  const digest = (digit: string) => `sha256:${digit.repeat(64)}`
  const result = { op: 'scan', selections: [], hashedBytes: 0, entries: 0 }
  const scan = (text: string) =>
    nativeOf(`write(3, ${JSON.stringify(text)}); ${answering({ event: 'result', result })}`).scan(tree, [], {
      manifests: true,
    })

  it('gives each manifest by its digest', async () => {
    const { manifests } = await scan(`# ${digest('a')} 4\nab\n\n# ${digest('b')} 0\n# ${digest('c')} 3\n# x`)
    expect([...manifests].map(([name, bytes]) => [name, bytes.toString()])).toEqual([
      [digest('a'), 'ab\n\n'],
      [digest('b'), ''],
      [digest('c'), '# x'],
    ])
  })

  it('gives no manifest where none was asked for', async () => {
    const { manifests } = await nativeOf(answering({ event: 'result', result })).scan(tree, [])
    expect(manifests.size).toBe(0)
  })

  it.each([
    ['ends early', `# ${digest('a')} 40\nab`],
    ['has a length that is no number', `# ${digest('a')} x\nab`],
    ['has a head without an end', `# ${digest('a')} 40`],
    ['has another head', `${digest('a')} 2\nab`],
  ])('throws ERR_HELPER_PROTOCOL when a manifest %s', async (_, text) => {
    await expect(scan(text)).rejects.toMatchObject({ code: 'ERR_HELPER_PROTOCOL' })
  })
})

describe('Native.exportTar()', () => {
  it('copies everything into the stream and leaves it open', async () => {
    const body = `write(3, 'x'.repeat(300000)); ${answering(exported)}`
    const out = new PassThrough({ highWaterMark: 1 })
    let size = 0
    out.on('data', (chunk: Buffer) => {
      size += chunk.length
    })
    await nativeOf(body).exportTar(root, out)
    expect(size).toBe(300_000)
    expect(out.writableEnded).toBe(false)
  })

  it('throws the error of the stream when it cannot be written', async () => {
    const out = new Writable({
      write: (_chunk, _encoding, callback) =>
        callback(Object.assign(new Error('disk full'), { code: 'ENOSPC' })),
    })
    const body = `write(3, 'x'); setInterval(() => {}, 1000)`
    await expect(nativeOf(body).exportTar(root, out)).rejects.toMatchObject({ code: 'ENOSPC' })
  })

  it('throws the error of the helper when it has one', async () => {
    const error = { event: 'error', kind: 'environment', code: 'ERR_STORE_IO', message: 'm', errno: 'EIO' }
    const body = `write(3, 'x'); ${answering(error)}; process.exitCode = 1`
    await expect(nativeOf(body).exportTar(root, new PassThrough())).rejects.toMatchObject({
      code: 'ERR_STORE_IO',
    })
  })
})
