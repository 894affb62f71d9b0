import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { BuildHandle, BuildOptions, BuildResult } from '@tsbuild/builder'
import { digestBytes } from '@tsbuild/digest'
import { EnvironmentError, UserError } from '@tsbuild/errors'
import type { BuildEvent, EventSink } from '@tsbuild/events'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { metadataJson } from '../build/results.ts'
import { main } from '../main.ts'
import { type MemoryHost, type MemoryHostOptions, memoryHost } from '../test-support/memory-host.ts'

const configDigest = digestBytes(Buffer.from('config'))
const manifest = {
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest: digestBytes(Buffer.from('manifest')),
  size: 7,
}
const result: BuildResult = {
  ref: 'r1',
  image: manifest,
  configDigest,
  images: [{ platform: 'linux/amd64', descriptor: manifest, configDigest }],
  names: ['docker.io/library/app:1.0', 'docker.io/library/app:latest'],
  tags: ['docker.io/library/app:1.0', 'docker.io/library/app:latest'],
  steps: { total: 2, cached: 1, executed: 1 },
}
const vertex = digestBytes(Buffer.from('vertex'))
const events: readonly BuildEvent[] = [
  { type: 'build.started', ref: 'r1', name: 'app', at: 0 },
  { type: 'vertex.planned', vertex, name: 'RUN make', inputs: [], source: null, at: 0 },
  { type: 'vertex.started', vertex, at: 0 },
  { type: 'vertex.completed', vertex, at: 1_000 },
  { type: 'build.completed', ref: 'r1', at: 1_000 },
]

let cwd = ''
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'tsbuild-build-'))
  mkdirSync(join(cwd, 'images'))
})
afterEach(() => rmSync(cwd, { recursive: true, force: true }))

type BuildCall = BuildOptions & { readonly onEvent?: EventSink | undefined }

/** A builder whose builds send `sent` and end as `end` does. */
function buildsWith(
  end: (options: BuildCall, handle: { cancelled: Promise<void> }) => Promise<BuildResult>,
  sent = events,
) {
  const calls: BuildCall[] = []
  const build = (options: BuildCall): BuildHandle => {
    calls.push(options)
    let cancel = (): void => {}
    const cancelled = new Promise<void>((resolve) => {
      cancel = resolve
    })
    for (const event of sent) options.onEvent?.(event)
    return { ref: 'r1', events: (async function* () {})(), result: end(options, { cancelled }), cancel }
  }
  return { calls, build }
}

function host(options: MemoryHostOptions = {}): MemoryHost {
  return memoryHost({ cwd, env: { HOME: cwd }, ...options })
}

describe('main() build', () => {
  it('builds with the default command, shows progress on standard error and nothing on standard output', async () => {
    const builder = buildsWith(async () => result)
    const machine = host({ builder })
    expect(await main(['-t', 'app:1.0', '.'], machine)).toBe(0)
    expect(builder.calls).toMatchObject([{ context: '.', cwd, tags: ['app:1.0'] }])
    expect(machine.opened).toMatchObject([{ root: join(cwd, '.local/share/tsbuild') }])
    expect(machine.out()).toBe('')
    expect(machine.err()).toBe('#1 RUN make\n#1 DONE 1.0s\n')
    expect(machine.listening()).toBe(false)
  })

  it('prints only the image id for --quiet, and writes the id and metadata files', async () => {
    const machine = host({ builder: buildsWith(async () => result) })
    const argv = ['build', '-q', '--iidfile', 'id', '--metadata-file', 'meta.json', '.']
    expect(await main(argv, machine)).toBe(0)
    expect(machine.out()).toBe(`${configDigest}\n`)
    expect(machine.err()).toBe('')
    expect(readFileSync(join(cwd, 'id'), 'utf8')).toBe(configDigest)
    expect(readFileSync(join(cwd, 'meta.json'), 'utf8')).toBe(metadataJson(result))
    expect(readdirSync(cwd).sort()).toEqual(['id', 'images', 'meta.json'])
  })

  it.each([
    [['-q', '.'], {}, `${configDigest}\n`],
    [['--progress', 'quiet', '.'], {}, `${configDigest}\n`],
    [['--progress', 'none', '.'], {}, ''],
    [['.'], { TSBUILD_PROGRESS: 'quiet' }, ''],
  ] as const)('prints the image id for %j with %j only where it was asked for', async (argv, env, out) => {
    const machine = host({ builder: buildsWith(async () => result), env: { HOME: cwd, ...env } })
    expect(await main(argv, machine)).toBe(0)
    expect(machine.out()).toBe(out)
    expect(machine.err()).toBe('')
  })

  it('removes the id file of an earlier build before a build that fails', async () => {
    writeFileSync(join(cwd, 'id'), 'old')
    const failure = new UserError('ERR_STEP_FAILED', 'Cannot run step "RUN make": it ended with exit code 2')
    const machine = host({ builder: buildsWith(async () => Promise.reject(failure)) })
    expect(await main(['--iidfile', 'id', '.'], machine)).toBe(1)
    expect(existsSync(join(cwd, 'id'))).toBe(false)
    expect(machine.err()).toContain('[ERR_STEP_FAILED]')
  })

  it('writes through a link to a file and leaves the link', async () => {
    writeFileSync(join(cwd, 'real'), 'old')
    symlinkSync('real', join(cwd, 'id'))
    expect(await main(['--iidfile', 'id', '.'], host({ builder: buildsWith(async () => result) }))).toBe(0)
    expect(readFileSync(join(cwd, 'real'), 'utf8')).toBe(configDigest)
  })

  it('ends with 3 and ERR_OUTPUT when a result file cannot be written', async () => {
    const machine = host({ builder: buildsWith(async () => result) })
    expect(await main(['--iidfile', 'no/such/dir/id', '.'], machine)).toBe(3)
    expect(machine.err()).toContain('[ERR_OUTPUT]')
  })

  it('says before the build why a result file cannot be written', async () => {
    writeFileSync(join(cwd, 'file'), '')
    const reasons = {
      'no/id': 'there is no directory',
      'file/id': 'a part of its path is no directory',
      '.': 'it is a directory',
    }
    for (const [path, why] of Object.entries(reasons)) {
      const builder = buildsWith(async () => result)
      const machine = host({ builder })
      expect(await main(['--metadata-file', path, '.'], machine)).toBe(3)
      expect(machine.err()).toMatch(new RegExp(`^Error: Cannot write file "${join(cwd, path)}": ${why}`))
      expect(machine.err()).not.toContain('Caused by')
      expect(builder.calls).toEqual([])
    }
  })

  it.each([
    ['-', 'the build context'],
    ['-f', '-', '.', 'the Dockerfile'],
  ])('does not wait for a terminal to type %s', async (...words) => {
    const [what, ...argv] = words.toReversed()
    const machine = { ...host(), stdin: Object.assign(Readable.from([]), { isTTY: true }) }
    expect(await main(argv.toReversed(), machine)).toBe(2)
    expect(machine.err()).toContain(`Cannot read ${what} from standard input: it is a terminal`)
  })

  it('gives standard output to an archive', async () => {
    const builder = buildsWith(async (options) => {
      const [output] = options.outputs ?? []
      if (output !== undefined && 'dest' in output && typeof output.dest !== 'string')
        output.dest.write('TAR')
      return result
    })
    const machine = host({ builder })
    expect(await main(['-o', '-', '.'], machine)).toBe(0)
    expect(machine.out()).toBe('TAR')
  })

  it('ends with 130 and says what is kept when a signal cancels it', async () => {
    const internal: BuildEvent = {
      type: 'vertex.planned',
      vertex: digestBytes(Buffer.from('definition')),
      name: '[internal] load build definition from Dockerfile',
      inputs: [],
      source: null,
      at: 0,
    }
    const running: BuildEvent = {
      type: 'vertex.started',
      vertex: digestBytes(Buffer.from('other')),
      at: 1_000,
    }
    const machine: MemoryHost = host({
      builder: buildsWith(
        async (_, { cancelled }) => {
          queueMicrotask(() => machine.signal())
          await cancelled
          throw new UserError('ERR_CANCELLED', 'The build was cancelled')
        },
        [
          internal,
          { type: 'vertex.completed', vertex: internal.vertex, at: 0 },
          ...events.slice(0, 4),
          running,
        ],
      ),
    })
    expect(await main(['--progress', 'none', '.'], machine)).toBe(130)
    expect(machine.err()).toBe('Cancelled: 1 step finished and kept in the cache, 1 step given up\n')
    expect(machine.exits).toEqual([])
  })

  it('leaves at once with 130 at the second signal, with the cursor back', async () => {
    const machine: MemoryHost = host({
      terminal: { columns: 40, rows: 10 },
      builder: buildsWith(
        async () => {
          queueMicrotask(() => {
            machine.signal()
            machine.signal()
          })
          await new Promise((resolve) => setImmediate(resolve))
          throw new UserError('ERR_CANCELLED', 'The build was cancelled')
        },
        events.slice(0, 3),
      ),
    })
    await main(['.'], machine)
    expect(machine.exits).toEqual([130])
    expect(machine.err()).toContain('\x1b[?25h')
  })

  it('ends the JSON form with build.failed also when the build sent none, and tells people too', async () => {
    const failure = new EnvironmentError('ERR_STORE_OPEN', 'Cannot open https://me:pw@host.test')
    const machine = host({ builder: buildsWith(async () => Promise.reject(failure), []) })
    expect(await main(['--progress', 'json', '.'], machine)).toBe(3)
    const [line, ...text] = machine.err().split('\n')
    expect(JSON.parse(line ?? '')).toEqual({
      type: 'build.failed',
      ref: 'r1',
      code: 'ERR_STORE_OPEN',
      message: 'Cannot open https://***@host.test',
      at: 5_000,
    })
    expect(text.join('\n')).toBe('Error: Cannot open https://***@host.test  [ERR_STORE_OPEN]\n')
  })

  it('does not open the store for a wrong command line', async () => {
    const machine = host()
    expect(await main(['--taag', 'x', '.'], machine)).toBe(2)
    expect(await main(['--squash', '.'], machine)).toBe(1)
    expect(machine.opened).toEqual([])
  })

  it('takes a mistyped command for what it is, and a directory of that name for a context', async () => {
    const machine = host()
    expect(await main(['imagess'], machine)).toBe(2)
    expect(machine.err()).toContain('Hint: Did you mean `tsbuild images`?')
    const builder = buildsWith(async () => result)
    expect(await main(['--no-cache', 'images'], host({ builder }))).toBe(0)
    expect(builder.calls).toMatchObject([{ context: 'images' }])
  })

  it('closes the store when the build fails', async () => {
    let closed = 0
    const failing = buildsWith(async () => Promise.reject(new UserError('ERR_CONFIG', 'x')))
    const close = async (): Promise<void> => {
      closed++
    }
    await main(['.'], host({ builder: { ...failing, close } }))
    expect(closed).toBe(1)
  })
})

describe('metadataJson()', () => {
  it('has the keys of buildx, sorted, as far as they apply', () => {
    expect(JSON.parse(metadataJson(result))).toEqual({
      'buildx.build.ref': 'r1',
      'containerimage.config.digest': configDigest,
      'containerimage.descriptor': manifest,
      'containerimage.digest': manifest.digest,
      'image.name': 'docker.io/library/app:1.0,docker.io/library/app:latest',
    })
    const nothing = { ref: 'r2', images: [], names: [], tags: [], steps: result.steps }
    expect(metadataJson(nothing)).toBe('{\n  "buildx.build.ref": "r2"\n}\n')
  })
})
