import { chmodSync, closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  type Cancellable,
  createNative,
  findHelper,
  noLimits,
  type OutcomeOf,
  rootlessIdMap,
} from './index.ts'
import { answering, fakeHelper } from './testing/fake-helper.ts'

const root = { lower: [], upper: null, work: null }
const done = { event: 'result', result: { op: 'usage', bytes: [4096] } }
const usage = (body: string) => nativeOf(body).usage(['/tree'])
const nativeOf = (body: string) => createNative({ helperPath: fakeHelper(body).path, idMap: undefined })
/** An operation that can be given up. */
const exporting = (body: string, options: Cancellable) =>
  nativeOf(body).exportDirectory(root, '/out', options)
const exported = { event: 'result', result: { op: 'export', files: 1, bytes: 2 } }

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'tsbuild-native-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

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

describe('Native.run()', () => {
  const program = {
    root,
    argv: ['true'],
    env: [],
    cwd: '/',
    user: '',
    hostname: 'h',
    network: 'none',
    hosts: '',
    resolvConf: '',
    mounts: [],
    trustCa: null,
    readonly: false,
    shmSizeBytes: null,
    ulimits: [],
    security: 'sandbox',
    noNewPrivileges: false,
    userNamespace: null,
    terminal: false,
    cgroups: [],
    limits: noLimits,
    stopGraceMs: 0,
    id: '0',
  } as const
  const zero = {
    op: 'run',
    exitCode: 0,
    signal: null,
    exceeded: null,
    userMicros: 1,
    systemMicros: 1,
    peakMemoryBytes: 1,
    readBytes: 0,
    writtenBytes: 0,
  }
  const layer = { compression: { format: 'gzip', level: 6 }, clampMtime: null } as const
  const finish = { content: false, layer, sync: true } as const
  const written = {
    digest: `sha256:${'a'.repeat(64)}`,
    sizeBytes: 3,
    diffId: `sha256:${'b'.repeat(64)}`,
    unpackedBytes: 1536,
    tocDigest: null,
  }

  function running(body: string, options: Parameters<ReturnType<typeof nativeOf>['run']>[2] = {}) {
    const output = { stdout: '', stderr: '' }
    const callbacks = {
      kind: 'callbacks',
      onStdout: (chunk: Buffer) => {
        output.stdout += chunk
      },
      onStderr: (chunk: Buffer) => {
        output.stderr += chunk
      },
    } as const
    return { output, ...nativeOf(body).run(program, callbacks, options) }
  }

  it('passes the namespaces at 7 and 8, and asks to join the user namespace in place of a new one', async () => {
    const directory = temporaryDirectory()
    const fds = ['net', 'user'].map((name) => {
      writeFileSync(join(directory, name), name)
      return openSync(join(directory, name), 'r')
    })
    onTestFinished(() => {
      for (const fd of fds) closeSync(fd)
    })
    const [networkFd = -1, userFd = -1] = fds
    const idMap = { uids: [{ inside: 0, outside: 1, length: 1 }], gids: [] }
    const answer = answering({ event: 'result', result: zero })
    const helper = fakeHelper(`write(3, [7, 8].map((fd) => fs.readFileSync(fd, 'utf8')).join()); ${answer}`)
    const native = createNative({ helperPath: helper.path, idMap })
    let seen = ''
    const onStdout = (chunk: Buffer) => {
      seen += chunk
    }
    const output = { kind: 'callbacks', onStdout, onStderr: () => {} } as const
    await native.run(program, output, { namespaces: { networkFd, userFd } }).outcome
    expect(seen).toBe('net,user')
    expect(helper.asked()).toMatchObject({ idMap: null, joinUserNamespace: true })
  })

  it('gives a step its time between SIGTERM and SIGKILL', async () => {
    const abort = new AbortController()
    // It ends 1.2 s after SIGTERM, which is more than what other operations get.
    const body = `process.on('SIGTERM', () => setTimeout(() => { write(3, 'bye'); process.exit(0) }, 1200))
      setInterval(() => {}, 1000); write(3, 'on')`
    const { path } = fakeHelper(body)
    let seen = ''
    const onStdout = (chunk: Buffer) => {
      seen += chunk
      abort.abort()
    }
    const output = { kind: 'callbacks', onStdout, onStderr: () => {} } as const
    const native = createNative({ helperPath: path, idMap: undefined })
    const running = native.run({ ...program, stopGraceMs: 5000 }, output, { signal: abort.signal })
    await expect(running.outcome).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    expect(seen).toBe('onbye')
  })

  it('has handed on all output when its outcome is there', async () => {
    const body = `write(3, 'o'.repeat(60000)); write(4, 'e'.repeat(60000)); ${answering({ event: 'result', result: zero })}`
    const { output, outcome } = running(body)
    expect(await outcome).toEqual(zero)
    expect([output.stdout.length, output.stderr.length]).toEqual([60_000, 60_000])
  })

  it('gives its outcome before it has finished, and then the layer', async () => {
    const go = join(temporaryDirectory(), 'go')
    // As the helper does: the output ends before the result.
    const body = `fs.closeSync(3); fs.closeSync(4); setTimeout(() => process.exit(1), 20_000).unref()
      ${answering({ event: 'result', result: zero })}
      const timer = setInterval(() => {
        if (!fs.existsSync(${JSON.stringify(go)})) return
        clearInterval(timer)
        ${answering({ event: 'layer', ...written }, { event: 'durable' })}
      }, 5)`
    const { outcome, finished } = running(body, { finish, layerFd: 1 })
    expect(await outcome).toEqual(zero)
    writeFileSync(go, '')
    expect(await finished).toEqual(written)
  })

  it('gives the content before it has finished', async () => {
    const go = join(temporaryDirectory(), 'go')
    const body = `fs.closeSync(3); fs.closeSync(4); setTimeout(() => process.exit(1), 20_000).unref()
      ${answering({ event: 'result', result: zero }, { event: 'content', digest: 'sha256:c' })}
      const timer = setInterval(() => {
        if (!fs.existsSync(${JSON.stringify(go)})) return
        clearInterval(timer)
        ${answering({ event: 'durable' })}
      }, 5)`
    const { content, finished } = running(body, { finish: { content: true, layer: null, sync: true } })
    expect(await content).toBe('sha256:c')
    writeFileSync(go, '')
    expect(await finished).toBeUndefined()
  })

  it('gives no content where the helper has none, where none was asked for and where the program failed', async () => {
    const asked = { finish: { content: true, layer: null, sync: true } }
    const none = [{ event: 'content', digest: null }, { event: 'durable' }]
    const result = { event: 'result', result: zero }
    const failed = { event: 'result', result: { ...zero, exitCode: 1 } }
    const answers = [
      running(answering(result, ...none), asked),
      running(answering(result)),
      running(answering(failed), asked),
    ]
    for (const { content } of answers) expect(await content).toBeUndefined()
  })

  it('rejects content and finished when the content cannot be told', async () => {
    const asked = { finish: { content: true, layer: null, sync: true } }
    const replies = [
      { event: 'error', kind: 'environment', code: 'ERR_STORE_IO', message: 'm', errno: 'EIO' },
    ]
    const body = `${answering({ event: 'result', result: zero }, ...replies)}; process.exitCode = 1`
    const { outcome, content, finished } = running(body, asked)
    expect(await outcome).toEqual(zero)
    await expect(content).rejects.toMatchObject({ code: 'ERR_STORE_IO' })
    await expect(finished).rejects.toMatchObject({ code: 'ERR_STORE_IO' })
    const silent = running(answering({ event: 'result', result: zero }, { event: 'durable' }), asked)
    await expect(silent.content).rejects.toMatchObject({ code: 'ERR_HELPER_PROTOCOL' })
    await expect(silent.finished).rejects.toMatchObject({ code: 'ERR_HELPER_PROTOCOL' })
  })

  it('rejects finished, not outcome, when what follows the result fails', async () => {
    const error = {
      event: 'error',
      kind: 'environment',
      code: 'ERR_STORE_NO_SPACE',
      message: 'm',
      errno: 'ENOSPC',
    }
    const { outcome, finished } = running(
      `${answering({ event: 'result', result: zero }, error)}; process.exitCode = 1`,
      { finish, layerFd: 1 },
    )
    expect(await outcome).toEqual(zero)
    await expect(finished).rejects.toMatchObject({ code: 'ERR_STORE_NO_SPACE' })
  })

  it('rejects both when there is no result', async () => {
    const { outcome, finished } = running('process.exitCode = 1', { finish })
    await expect(outcome).rejects.toMatchObject({ code: 'ERR_HELPER_PROTOCOL' })
    await expect(finished).rejects.toMatchObject({ code: 'ERR_HELPER_PROTOCOL' })
  })

  it.each([
    ['durable is missing', [{ event: 'layer', ...written }]],
    ['the layer is missing', [{ event: 'durable' }]],
    [
      'there are two layers',
      [{ event: 'layer', ...written }, { event: 'layer', ...written }, { event: 'durable' }],
    ],
  ])('rejects finished with ERR_HELPER_PROTOCOL when %s', async (_, after) => {
    const { outcome, finished } = running(answering({ event: 'result', result: zero }, ...after), {
      finish,
      layerFd: 1,
    })
    expect(await outcome).toEqual(zero)
    await expect(finished).rejects.toMatchObject({ kind: 'internal', code: 'ERR_HELPER_PROTOCOL' })
  })

  it('expects nothing after the result of a program that failed', async () => {
    const failed = { ...zero, exitCode: 2 }
    const { outcome, finished } = running(answering({ event: 'result', result: failed }), {
      finish,
      layerFd: 1,
    })
    expect([await outcome, await finished]).toEqual([failed, undefined])
  })

  it('gives no layer where none was asked for', async () => {
    const { finished } = running(answering({ event: 'result', result: zero }))
    expect(await finished).toBeUndefined()
  })
})

describe('rootlessIdMap()', () => {
  const probe = {
    op: 'probe',
    protocol: 1,
    kernel: '6.18.0',
    euid: 1000,
    overlay: true,
    userNamespace: true,
    newuidmap: '/usr/bin/newuidmap',
    newgidmap: '/usr/bin/newgidmap',
    subuids: [
      { start: 100_000, length: 65_536 },
      { start: 300_000, length: 10 },
    ],
    subgids: [{ start: 200_000, length: 1000 }],
    cgroups: [],
    pasta: null,
    slirp4netns: null,
    interpreters: [],
    seccomp: true,
    missing: [],
  } as const satisfies OutcomeOf<'probe'>

  it('puts the subordinate ids above the user, one range after the other', () => {
    expect(rootlessIdMap(probe, 1001)).toEqual({
      uids: [
        { inside: 0, outside: 1000, length: 1 },
        { inside: 1, outside: 100_000, length: 65_536 },
        { inside: 65_537, outside: 300_000, length: 10 },
      ],
      gids: [
        { inside: 0, outside: 1001, length: 1 },
        { inside: 1, outside: 200_000, length: 1000 },
      ],
    })
  })

  it.each([
    ['newuidmap', { newuidmap: null }],
    ['newgidmap', { newgidmap: null }],
    ['subordinate user ids', { subuids: [] }],
    ['subordinate group ids', { subgids: [] }],
  ])('maps the user alone when there are no %s', (_, lack) => {
    expect(rootlessIdMap({ ...probe, ...lack }, 1001)).toEqual({
      uids: [{ inside: 0, outside: 1000, length: 1 }],
      gids: [{ inside: 0, outside: 1001, length: 1 }],
    })
  })
})

describe('findHelper()', () => {
  function tree(...files: readonly string[]): string {
    const directory = temporaryDirectory()
    for (const file of files) {
      mkdirSync(join(directory, file, '..'), { recursive: true })
      writeFileSync(join(directory, file), '')
    }
    return directory
  }
  const inPackages = 'node_modules/@tsbuild/helper/bin/tsbuild-helper'
  const inCheckout = 'native/helper/bin/tsbuild-helper'
  const from = (directory: string) =>
    pathToFileURL(join(directory, 'node_modules/@tsbuild/native/dist/a.js')).href

  it.each([inPackages, inCheckout])('finds %s above the module', (place) => {
    const directory = tree(place)
    expect(findHelper(from(directory))).toBe(join(directory, place))
  })

  it('takes the nearest one', () => {
    const directory = tree(inCheckout, `apps/x/${inPackages}`)
    expect(findHelper(pathToFileURL(join(directory, 'apps/x/a.js')).href)).toBe(
      join(directory, 'apps/x', inPackages),
    )
  })

  it('throws ERR_HELPER_MISSING when there is none', () => {
    expect(() => findHelper(from(tree()))).toThrow(expect.objectContaining({ code: 'ERR_HELPER_MISSING' }))
  })
})
