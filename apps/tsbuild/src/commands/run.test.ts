import { readFile } from 'node:fs/promises'
import type { RunImageOptions } from '@tsbuild/builder'
import { UserError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { main } from '../main.ts'
import { type MemoryHost, type MemoryHostOptions, memoryHost } from '../test-support/memory-host.ts'
import { help } from './run.ts'

/** Runs the command; what the builder was asked. */
async function asked(argv: readonly string[], options: MemoryHostOptions = {}) {
  const calls: RunImageOptions[] = []
  const runImage = async (given: RunImageOptions) => {
    calls.push(given)
    return 42
  }
  const host = memoryHost({ env: { HOME: '/work dir' }, ...options, builder: { runImage } })
  const code = await main(['run', ...argv], host)
  return { code, calls, err: host.err() }
}

describe('main() run', () => {
  it("passes what follows IMAGE to the program, and the program's exit code through", async () => {
    const calls: RunImageOptions[] = []
    const runImage = async (options: RunImageOptions): Promise<number> => {
      calls.push(options)
      return 42
    }
    const machine = memoryHost({ builder: { runImage }, env: { HOME: '/work dir', KNOWN: '1' } })
    const argv = [
      'run',
      '-e',
      'A=b',
      '--env',
      'KNOWN',
      '-u',
      '1:2',
      '-w',
      '/srv',
      '--rm',
      'app',
      'sh',
      '-c',
      '--root',
    ]
    expect(await main(argv, machine)).toBe(42)
    expect(calls).toMatchObject([
      {
        image: 'app',
        args: ['sh', '-c', '--root'],
        env: { A: 'b', KNOWN: '1' },
        user: '1:2',
        workdir: '/srv',
        signal: expect.any(AbortSignal),
      },
    ])
    expect(await main(['run', '--entrypoint', '', 'app'], machine)).toBe(42)
    expect(calls[1]).toMatchObject({ entrypoint: [] })
  })

  it('aborts the program at the first signal and leaves at the second', async () => {
    const runImage = async ({ signal }: RunImageOptions): Promise<number> => {
      machine.signal()
      expect(signal?.aborted).toBe(true)
      machine.signal()
      throw new UserError('ERR_CANCELLED', 'The program was cancelled')
    }
    const machine: MemoryHost = memoryHost({ builder: { runImage }, env: { HOME: '/work dir' } })
    expect(await main(['run', 'app'], machine)).toBe(130)
    expect(machine.exits).toEqual([130])
  })

  it('reads no standard input without -i', async () => {
    expect((await asked(['app'])).calls[0]).toMatchObject({ stdio: [null, 1, 2], terminal: false })
    expect((await asked(['-i', 'app'])).calls[0]).toMatchObject({ stdio: [0, 1, 2], terminal: false })
  })

  it('hands every flag on in the words of the builder', async () => {
    const argv =
      '-v ./d:/d:ro -p 8080:80 --network default --hostname h --add-host a:1.2.3.4 --platform linux/amd64 --read-only'
    const limits =
      '-m 1g --cpus 2 --pids-limit 50 --ulimit nofile=5:6 --shm-size 1m --security-opt no-new-privileges'
    const { calls, code } = await asked([
      '--rm',
      ...`${argv} ${limits} --allow security.insecure app sh -c x`.split(' '),
    ])
    expect(code).toBe(42)
    expect(calls[0]).toMatchObject({
      image: 'app',
      args: ['sh', '-c', 'x'],
      volumes: [{ source: '/work dir/d', target: '/d', readOnly: true }],
      ports: [{ address: '127.0.0.1', host: 8080, inside: 80, protocol: 'tcp' }],
      network: 'default',
      hostname: 'h',
      addHosts: ['a:1.2.3.4'],
      platform: 'linux/amd64',
      readOnly: true,
      limits: { memoryBytes: 1024 ** 3, cpuQuotaMicros: 200_000, pids: 50 },
      ulimits: [{ name: 'nofile', soft: 5, hard: 6 }],
      shmSizeBytes: 1024 ** 2,
      noNewPrivileges: true,
      allow: ['security.insecure'],
    })
  })

  it.each([
    [['-it', 'app'], /standard input is not a terminal/],
    [['-p', '80:80', '--network', 'none', 'app'], /ports belong to the default network/],
    [['-p', '80:80', '--network', 'host', 'app'], /ports belong to the default network/],
    [['-p', '80', 'app'], /--publish: expected `\[ADDRESS:\]HOST:INSIDE/],
    [['-v', 'cache:/x', 'app'], /named volumes are not supported/],
    [['-v', '/x', 'app'], /--volume: expected `SOURCE:TARGET/],
    [['--memory', 'lots', 'app'], /--memory: expected a size such as `512m`/],
    [['--cpus', 'all', 'app'], /--cpus: expected a number of processors/],
    [['--ulimit', 'files=5', 'app'], /--ulimit: expected one of the names/],
    [['--shm-size', '0', 'app'], /--shm-size: expected a size above 0/],
    [['--security-opt', 'seccomp=unconfined', 'app'], /--security-opt: expected "no-new-privileges"/],
    [['--env-file', 'missing', 'app'], /Cannot read file "missing" of --env-file/],
    [['--privileged', 'app'], /--allow security.insecure/],
    [['--network', 'bridge', 'app'], /--network: expected one of "default", "none", "host"/],
  ])('refuses %j before anything is opened', async (argv, message) => {
    const { code, calls, err } = await asked(argv)
    expect(err).toMatch(message)
    expect(code).toBeGreaterThan(0)
    expect(calls).toEqual([])
  })

  it('sets the terminal to raw mode while the program runs, and back whatever happens', async () => {
    const modes: boolean[] = []
    const stdin = { isTTY: true, setRawMode: (raw: boolean) => modes.push(raw) }
    const sent: string[] = []
    const runImage = async ({ signals }: RunImageOptions): Promise<number> => {
      expect(modes).toEqual([])
      signals?.((signal) => sent.push(signal))
      expect(modes).toEqual([true])
      host.resize()
      throw new Error('the program is lost')
    }
    const host = memoryHost({ env: { HOME: '/work dir' }, builder: { runImage }, stdin })
    expect(await main(['run', '-it', 'app'], host)).toBe(70)
    expect(modes).toEqual([true, false])
    host.resize()
    expect(sent).toEqual(['SIGWINCH'])
    expect(host.listening()).toBe(false)
  })

  it('hands the first signal to the program and leaves at the second', async () => {
    const sent: string[] = []
    const runImage = async ({ signals, signal }: RunImageOptions): Promise<number> => {
      signals?.((name) => sent.push(name))
      host.signal('SIGINT')
      expect(signal?.aborted).toBe(false)
      host.signal('SIGTERM')
      return 7
    }
    const host = memoryHost({ env: { HOME: '/work dir' }, builder: { runImage } })
    expect(await main(['run', 'app'], host)).toBe(7)
    expect(sent.slice(0, 1)).toEqual(['SIGINT'])
    expect(host.exits).toEqual([143])
  })

  it('has the flags that docs/reference/run.md lists', async () => {
    const page = await readFile(new URL('../../../../docs/reference/run.md', import.meta.url), 'utf8')
    const listed = [...page.matchAll(/^\| `(?:-\w, )?(--[a-z-]+)/gm)].map(([, flag]) => flag)
    const [own = ''] = help().split('Store, trust and troubleshooting:')
    const flags = [...own.matchAll(/^ +(?:-\w, )?(--[a-z-]+) /gm)].map(([, flag]) => flag)
    expect(flags.length).toBeGreaterThan(20)
    expect(listed).toEqual(flags)
  })
})
