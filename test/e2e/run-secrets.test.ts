import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findLeaks, leaksIn } from '../support/leaks.ts'
import { readEvents } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

const canary = `canary-${randomBytes(16).toString('hex')}`
let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('secrets')
  mkdirSync(workspace.path('given'))
  writeFileSync(workspace.path('given', 'token'), `${canary}\n`)
  writeFileSync(workspace.path('given', 'empty'), '')
})
afterAll(() => workspace?.remove())

const header = 'FROM busybox:test'
const secret = (options: string) => `--mount=type=secret,id=token${options}`
let contexts = 0

/** Builds offline with the canary as `token`, in every form of progress and output; gives all that was said. */
async function build(
  steps: readonly string[],
  args: readonly string[] = ['--secret', `id=token,src=${workspace.path('given', 'token')}`],
) {
  contexts += 1
  const name = `secrets-${contexts}`
  const context = workspace.context(name, { Dockerfile: `${[header, ...steps].join('\n')}\n` })
  const outputs = [
    `type=oci,dest=${workspace.path(`${name}.tar`)}`,
    `type=local,dest=${workspace.path(`${name}.out`)}`,
  ]
  const flags = [
    ...outputs.flatMap((output) => ['-o', output]),
    '--metadata-file',
    workspace.path(`${name}.json`),
  ]
  const all = ['--debug', '--network', 'none', ...args, ...flags, '-t', `${name}:1`, context]
  const said = []
  for (const progress of ['json', 'rawjson', 'plain'])
    said.push(await workspace.tsbuild.run(['--progress', progress, '--no-cache', ...all]))
  const [json = { stderr: '', code: null }] = said
  const logs = readEvents(json.stderr).flatMap((event) =>
    event.type === 'vertex.log' ? [Buffer.from(String(event.data), 'base64')] : [],
  )
  const text = said.map(({ stdout, stderr }) => stdout + stderr).join('\n')
  return {
    codes: said.map(({ code }) => code),
    output: Buffer.concat(logs).toString(),
    text: text + Buffer.concat(logs),
  }
}

/** Every place where something of a build stays. The secret itself is in `given`. */
function leaks(): readonly string[] {
  const places = readdirSync(workspace.folder).filter((name) => name !== 'given')
  for (const name of places.filter((place) => place.endsWith('.tar'))) {
    mkdirSync(workspace.path(`${name}.files`), { recursive: true })
    execFileSync('tar', ['-xf', workspace.path(name), '-C', workspace.path(`${name}.files`)])
  }
  return findLeaks(
    canary,
    places.map((name) => workspace.path(name)),
  )
}

describe('findLeaks()', () => {
  it.each([
    ['as it is', canary],
    ['in base64', Buffer.from(canary).toString('base64')],
    ['in base64 of more', Buffer.from(`x${canary}y`).toString('base64')],
    ['in base64 of still more', Buffer.from(`xx${canary}`).toString('base64')],
    ['in hex', Buffer.from(canary).toString('hex')],
  ])('finds the canary %s', (_, text) => {
    const folder = workspace.context('found', { 'deep/file': `before ${text} after` })
    expect(findLeaks(canary, [folder])).toEqual([join(folder, 'deep/file')])
    execFileSync('gzip', ['-f', join(folder, 'deep/file')])
    expect(findLeaks(canary, [folder])).toEqual([join(folder, 'deep/file.gz')])
    execFileSync('rm', ['-r', folder])
  })
})

describe('SEC-01: a secret stays in no layer, no cache, no record and no log', () => {
  const length = canary.length + 1
  it.each<[string, readonly string[], string]>([
    ['file', [`RUN ${secret('')} wc -c < /run/secrets/token`], `${length}\n`],
    ['env', [`RUN ${secret(',env=TOKEN')} echo \${#TOKEN} && test ! -e /run/secrets/token`], `${length}\n`],
    [
      'custom target, mode and owner',
      [
        `USER web`,
        `RUN ${secret(',target=/home/x/.npmrc,mode=0440,uid=1000,gid=50,env=TOKEN')} stat -c '%a %u:%g' /home/x/.npmrc && wc -c < /home/x/.npmrc`,
      ],
      `440 1000:50\n${length}\n`,
    ],
    [
      'two steps',
      [
        `RUN ${secret('')} test -s /run/secrets/token`,
        `RUN ${secret(',target=/t')} test -s /t && test ! -e /run/secrets/token && echo ok`,
        'RUN test ! -e /t',
      ],
      'ok\n',
    ],
    [
      'printed by the step',
      [`RUN ${secret('')} cat /run/secrets/token && cat /run/secrets/token >&2 && echo after`],
      '***\n***\nafter\n',
    ],
  ])('%s', async (_, steps, expected) => {
    const { codes, output, text } = await build(steps)
    expect(codes, text).toEqual([0, 0, 0])
    expect(output.split('\n').toSorted()).toEqual(expected.split('\n').toSorted())
    expect(leaksIn(text, canary)).toBe(false)
    expect(leaks()).toEqual([])
  })

  it('required and missing', async () => {
    const { codes, text } = await build([`RUN ${secret(',required=true')} true`], [])
    expect(codes).toEqual([1, 1, 1])
    expect(text).toContain('secret token: not found')
    expect(text).toContain('[ERR_SECRET]')
  })

  it('empty, and missing where it is not required', async () => {
    const given = ['--secret', `id=token,src=${workspace.path('given', 'empty')}`]
    const step = `RUN ${secret(',env=TOKEN,target=/t')} test -e /t && test ! -s /t && test "\${TOKEN-unset}" = "" && echo empty`
    expect((await build(['ENV TOKEN=image', step], given)).output).toBe('empty\n')
    const absent = `RUN ${secret(',env=TOKEN,target=/t')} test ! -e /t && echo $TOKEN`
    expect((await build(['ENV TOKEN=image', absent], [])).output).toBe('image\n')
  })

  it('a step that fails midway, and the last lines of its error', async () => {
    const step = `RUN ${secret(',env=TOKEN,target=/t')} echo "auth $TOKEN"; cat /t; touch /half; echo "$TOKEN" >&2; exit 7`
    const { codes, text } = await build([step])
    expect(codes).toEqual([1, 1, 1])
    expect(text).toContain('auth ***')
    expect(text).toContain('exit code: 7')
    expect(leaksIn(text, canary)).toBe(false)
    expect(leaks()).toEqual([])
  })

  it('is masked in output that comes in pieces', async () => {
    const step = `RUN ${secret('')} i=0; while IFS= read -r -n1 c; do printf '%s' "$c"; sleep 0.01; done < /run/secrets/token; echo`
    const { output } = await build([step])
    expect(output).toBe('***\n')
    expect(leaks()).toEqual([])
  })
})

describe('SEC-02: a secret does not count for the cache', () => {
  it('a changed secret runs nothing again, and neither does one that is missing', async () => {
    const context = workspace.context('changed', {
      Dockerfile: [header, `RUN ${secret(',env=TOKEN')} echo "\${#TOKEN}" > /length`].join('\n'),
    })
    const run = async (...args: readonly string[]) => {
      const env = { FIRST: 'one', SECOND: 'second' }
      const { executed, cached } = await workspace.tsbuild.build(['--network', 'none', ...args, context], {
        env,
      })
      return [executed.length, cached.length]
    }
    expect(await run('--secret', 'id=token,env=FIRST')).toEqual([1, 0])
    expect(await run('--secret', 'id=token,env=SECOND')).toEqual([0, 1])
    expect(await run()).toEqual([0, 1])
  })
})

describe('SEC-04: what a Dockerfile may choose of a secret', () => {
  it("an id is no path, and a variable of the loader is the step's own", async () => {
    const etc = await build(['RUN --mount=type=secret,id=../../../../etc/shadow,required=true true'], [])
    expect(etc.text).toContain('secret ../../../../etc/shadow: not found')
    const own = await build([`RUN ${secret(',env=LD_PRELOAD')} echo ran`])
    expect(own.codes).toEqual([0, 0, 0])
    expect(own.output).toContain('ran\n')
  })

  it.each(['/proc/self/mem', '/proc', '/sys/x'])('its target is not %s', async (target) => {
    const { codes, text } = await build([`RUN ${secret(`,target=${target}`)} true`])
    expect(codes).toEqual([1, 1, 1])
    expect(text).toContain('[ERR_MOUNT_TARGET_RESERVED]')
    expect(leaksIn(text, canary)).toBe(false)
  })
})

describe('SEC-07: a secret is in no command line and no environment but that of its step', () => {
  it('while the step runs', async () => {
    const context = workspace.context('argv', {
      Dockerfile: [
        header,
        `RUN ${secret('')} --mount=type=cache,id=argv,target=/s test -s /run/secrets/token && touch /s/here; until [ -e /s/go ]; do sleep 0.05; done`,
      ].join('\n'),
    })
    const file = `id=token,src=${workspace.path('given', 'token')}`
    const running = workspace.tsbuild.start([
      '--progress',
      'plain',
      '--network',
      'none',
      '--secret',
      file,
      context,
    ])
    const mounts = join(workspace.tsbuild.root, 'v1', 'mounts')
    const signals = () =>
      (existsSync(mounts) ? readdirSync(mounts) : [])
        .map((name) => join(mounts, name, '0', 'fs'))
        .find((path) => existsSync(join(path, 'here')))
    while (signals() === undefined && running.child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 20))
    const shown = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((pid) => ['cmdline', 'environ'].map((name) => readOrEmpty(`/proc/${pid}/${name}`)))
    writeFileSync(join(signals() ?? '', 'go'), '')
    expect((await running.outcome).code).toBe(0)
    expect(shown.length).toBeGreaterThan(10)
    expect(shown.filter((text) => leaksIn(text, canary))).toEqual([])
  })
})

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
