import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createNative, noLimits } from './index.ts'
import { answering, fakeHelper, nativeOf, temporaryDirectory } from './testing/fake-helper.ts'

const root = { lower: [], upper: null, work: null }

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
