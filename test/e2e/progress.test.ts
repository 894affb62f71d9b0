import { existsSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readEvents } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let context: string
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('progress')
  context = workspace.context('app', {
    Dockerfile: 'FROM busybox:test\nRUN echo to stdout; echo to stderr >&2\nCMD ["true"]\n',
  })
})
afterAll(() => workspace?.remove())

const build = (...flags: readonly string[]) =>
  workspace.tsbuild.run(['--no-cache', '-t', 'app:1.0', ...flags, context])

describe('--progress', () => {
  it('plain shows the steps, their output and that they are done', async () => {
    const { code, stdout, stderr } = await build('--progress', 'plain')
    expect(code).toBe(0)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^#\d+ \[.*\] RUN echo to stdout/m)
    expect(stderr).toMatch(/^#\d+ [\d.]+ to stdout$/m)
    expect(stderr).toMatch(/^#\d+ [\d.]+ to stderr$/m)
    expect(stderr).toMatch(/^#\d+ DONE [\d.]+s$/m)
    const again = await workspace.tsbuild.run(['--progress', 'plain', context])
    expect(again.stderr).toMatch(/^#\d+ CACHED$/m)
  })

  it('auto is plain where standard error is no terminal', async () => {
    expect((await build()).stderr).toMatch(/^#\d+ DONE/m)
  })

  it('quiet and -q print the image id and nothing else', async () => {
    const outcome = await build('-q')
    expect(outcome).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(/^sha256:[0-9a-f]{64}\n$/),
    })
    expect((await build('--progress', 'quiet')).stderr).toBe('')
  })

  it('json writes a whole sequence of events, each a line', async () => {
    const { stderr } = await build('--progress', 'json')
    const lines = stderr.trimEnd().split('\n')
    const events = readEvents(stderr)
    expect(events).toHaveLength(lines.length)
    expect(events.at(0)?.type).toBe('build.started')
    expect(events.at(-1)?.type).toBe('build.completed')
    const planned = events.flatMap((event) => (event.type === 'vertex.planned' ? [event.vertex] : []))
    const ended = events.flatMap((event) =>
      /^vertex\.(cached|completed|failed|cancelled)$/.test(event.type) && 'vertex' in event
        ? [event.vertex]
        : [],
    )
    expect(ended.toSorted()).toEqual([...new Set(planned)].toSorted())
    const log = events.flatMap((event) =>
      event.type === 'vertex.log' ? [Buffer.from(String(event.data), 'base64').toString()] : [],
    )
    expect(log.join('')).toContain('to stdout')
    // The end of a step is sent when it is durable and dated when the step had run, so it may come behind younger events.
    const times = events.filter(({ type }) => type !== 'vertex.completed').map((event) => event.at)
    expect(times).toEqual(times.toSorted((a, b) => a - b))
  })

  it('rawjson writes the lines that readers of BuildKit know', async () => {
    const { stderr } = await build('--progress', 'rawjson')
    const lines = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    const vertexes = lines.flatMap((line) => line.vertexes ?? [])
    const step = vertexes.filter((vertex) => vertex.name.includes('RUN echo to stdout'))
    expect(step.at(0).digest).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(Date.parse(step.at(-1).completed)).toBeGreaterThanOrEqual(Date.parse(step.at(-1).started))
    const logs = lines.flatMap((line) => line.logs ?? [])
    const text = logs.map((log) => Buffer.from(log.data, 'base64').toString()).join('')
    expect(text).toContain('to stderr')
    expect(new Set(logs.map((log) => log.stream))).toEqual(new Set([1, 2]))
  })

  it('json ends with build.failed when the build fails', async () => {
    const failing = workspace.context('failing', { Dockerfile: 'FROM busybox:test\nRUN exit 9\n' })
    const outcome = await workspace.tsbuild.run(['--progress', 'json', failing])
    const last = readEvents(outcome.stderr).at(-1)
    expect(last).toMatchObject({ type: 'build.failed', code: 'ERR_STEP_FAILED' })
    expect(outcome.code).toBe(1)
  })
})

describe('result files', () => {
  it('hold the image id and what was built', async () => {
    const iidfile = workspace.path('iid')
    const metadataFile = workspace.path('metadata.json')
    const { stdout } = await build('-q', '--iidfile', iidfile, '--metadata-file', metadataFile)
    expect(readFileSync(iidfile, 'utf8').trim()).toBe(stdout.trim())
    const metadata = JSON.parse(readFileSync(metadataFile, 'utf8'))
    expect(metadata['containerimage.config.digest']).toBe(stdout.trim())
    expect(metadata['containerimage.descriptor'].digest).toBe(metadata['containerimage.digest'])
    expect(metadata['image.name']).toContain('app:1.0')
  })

  it('are not left over when the build fails', async () => {
    const iidfile = workspace.path('stale')
    await build('--iidfile', iidfile)
    const failing = workspace.context('failing-iid', { Dockerfile: 'FROM busybox:test\nRUN false\n' })
    await workspace.tsbuild.run(['-t', 'app:1.0', '--iidfile', iidfile, failing])
    expect(existsSync(iidfile)).toBe(false)
  })
})

describe('the command', () => {
  it.each([['--help'], ['build', '--help'], ['images', '--help']])(
    '%s %s prints help and exits with 0',
    async (...args) => {
      const outcome = await workspace.tsbuild.run(args)
      expect([outcome.code, outcome.stderr]).toEqual([0, ''])
      expect(outcome.stdout).toContain('Usage')
    },
  )

  it('--version prints one line', async () => {
    expect(await workspace.tsbuild.check(['--version'])).toMatch(/^\S.*\d+\.\d+\.\d+\n$/)
  })

  it('build and no command are the same', async () => {
    const one = await workspace.tsbuild.check(['build', '-q', '-t', 'app:1.0', context])
    expect(await workspace.tsbuild.check(['-q', '-t', 'app:1.0', context])).toBe(one)
  })

  it('run passes the exit code, the arguments and the environment', async () => {
    await workspace.tsbuild.check(['-q', '-t', 'app:1.0', context])
    const outcome = await workspace.tsbuild.run([
      'run',
      '-e',
      'A=b',
      'app:1.0',
      'sh',
      '-c',
      'echo "$A"; exit 7',
    ])
    expect([outcome.code, outcome.stdout]).toEqual([7, 'b\n'])
  })
})
