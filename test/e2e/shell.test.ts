import { copyFileSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { findProgram, needs } from '../support/capabilities.ts'
import { findMounts } from '../support/processes.ts'
import { check, command, type RunOptions, readEvents, start } from '../support/tsbuild.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'

const token = 'CANARY-5f1c9a7e30b24d68'
/** What the token could be found as. */
const forms = [token, Buffer.from(token).toString('base64'), Buffer.from(token).toString('hex')]

/** Fails after it has written something, with a mount of each kind. */
const failing = [
  'RUN --mount=type=bind,source=given,target=/given --mount=type=cache,target=/cache \\',
  '    --mount=type=tmpfs,target=/fleeting --mount=type=secret,id=token --mount=type=secret,id=token,env=TOKEN \\',
  '    echo half > out && echo "$(cat /given) $TOKEN" && echo been > /cache/here && rm /removed && exit 3',
]

const isRoot = process.getuid?.() === 0

/** A command on a store of its own, run by one user. */
function userOf(name: 'root' | 'an ordinary user') {
  let workspace: Workspace
  const needed = (t: TestContext) => {
    if (name === 'root') needs(t, 'root', 'program busybox')
    else
      needs(
        t,
        'program newuidmap',
        'program busybox',
        ...(isRoot ? (['the user tsbuild-test'] as const) : []),
      )
  }
  const become =
    name === 'root' || !isRoot
      ? []
      : ['setpriv', '--reuid', 'tsbuild-test', '--regid', 'tsbuild-test', '--init-groups']
  const begin = (args: readonly string[], options: RunOptions = {}) => {
    const [program = command, ...rest] = [...become, command, ...args]
    const env = { TSBUILD_ROOT: workspace.path('store'), HOME: workspace.path('home'), ...options.env }
    return start(program, rest, { cwd: workspace.folder, ...options, env })
  }
  return {
    needed,
    begin,
    run: (args: readonly string[], options?: RunOptions) => begin(args, options).outcome,
    path: (...parts: readonly string[]) => workspace.path(...parts),
    async open() {
      workspace = openWorkspace('shell')
      if (become.length > 0) await check('chown', ['tsbuild-test:', workspace.folder])
    },
    close: () => workspace?.remove(),
    /** A context whose last step is this. */
    project(folder: string, lines: readonly string[]): string {
      const context = workspace.context(folder, {
        Dockerfile: [
          'FROM scratch AS base',
          'COPY --chmod=755 busybox /bin/busybox',
          'RUN ["/bin/busybox", "--install", "-s", "/bin"]',
          'COPY passwd /etc/',
          'RUN mkdir -m 777 /work && echo x > /removed && mkdir -m 1777 /tmp',
          'WORKDIR /work',
          'ENV COLOUR=blue',
          ...lines,
        ].join('\n'),
        given: 'from the context',
        passwd: 'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/:/bin/sh\n',
      })
      copyFileSync(findProgram('busybox') ?? '/bin/busybox', join(context, 'busybox'))
      return context
    },
  }
}

type User = ReturnType<typeof userOf>

const secretFlags = ['--secret', 'id=token,env=SECRET_TOKEN']
const withToken = { env: { SECRET_TOKEN: token } }

/** Builds what fails. */
async function fail(user: User, context: string, args: readonly string[] = [], options: RunOptions = {}) {
  const outcome = await user.run(['--progress', 'plain', ...args, context], options)
  expect(outcome.code, outcome.stderr).toBe(1)
  return outcome
}

/** Every file below a folder whose bytes have one of these texts. */
function findText(folder: string, texts: readonly string[]): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => texts.some((text) => readFileSync(path).includes(text)))
}

describe.each(['root', 'an ordinary user'] as const)('tsbuild shell as %s', (name) => {
  const user = userOf(name)
  let context: string
  let message: string
  beforeAll(async () => {
    if (name === 'root' && !isRoot) return
    await user.open()
    context = user.project('failing', [...failing])
    message = (await fail(user, context, secretFlags, withToken)).stderr
  })
  afterAll(() => user.close())

  const shell = (...args: readonly string[]) => user.run(['shell', ...args])

  it('finds what the step left, with its mounts, environment, user and directory', async (t) => {
    user.needed(t)
    const look =
      'pwd; echo $COLOUR; id -u; cat out /given /cache/here; ls /removed; ls /fleeting; grep -c " /fleeting " /proc/mounts'
    const { stdout, stderr, code } = await shell('--', 'sh', '-c', look)
    expect(stdout, stderr).toBe('/work\nblue\n0\nhalf\nfrom the contextbeen\n1\n')
    expect(stderr).toContain('ls: /removed: No such file or directory')
    expect(code).toBe(0)
  })

  it('--before finds the files as they were', async (t) => {
    user.needed(t)
    const { stdout, code } = await shell('--before', '--', 'sh', '-c', 'cat /removed; ls; cat /given')
    expect([stdout, code]).toEqual(['x\nfrom the context', 0])
  })

  it("reads a script from standard input where there is no terminal, and ends with the shell's exit code", async (t) => {
    user.needed(t)
    const { stdout, code } = await user.run(['shell'], { input: 'echo "$0 $COLOUR"\ncat out\nexit 41\n' })
    expect([stdout, code]).toEqual(['/bin/sh blue\nhalf\n', 41])
  })

  it('throws away what it changes', async (t) => {
    user.needed(t)
    expect((await shell('--', 'sh', '-c', 'echo new > new && rm out && ls')).stdout).toBe('new\n')
    expect((await shell('--', 'ls')).stdout).toBe('out\n')
  })

  it('says which secrets the step had, and has them when they are given', async (t) => {
    user.needed(t)
    const look = ['--', 'sh', '-c', 'cat /run/secrets/token; echo "[$TOKEN]"']
    const without = await shell(...look)
    expect(without.stdout).toBe('[]\n')
    expect(without.stderr.match(/Note: .*--secret id=token/g)).toHaveLength(1)
    const given = await user.run(['shell', ...secretFlags, ...look], withToken)
    expect(given.stdout).toBe(`${token}[${token}]\n`)
    expect(given.stderr).not.toContain('The step had more')
  })

  it('SEC-01: a secret is nowhere in the store, in what is kept of the failed step or in what the build said', async (t) => {
    user.needed(t)
    await user.run(['shell', ...secretFlags, '--', 'sh', '-c', 'cat /run/secrets/token'], withToken)
    expect(findText(user.path('store'), ['been'])).not.toEqual([])
    expect(findText(user.path('store'), forms)).toEqual([])
    expect(message).toContain('from the context ***')
    for (const form of forms) expect(message).not.toContain(form)
  })

  it('is named by the error of a build, for people', async (t) => {
    user.needed(t)
    expect(message).toContain('[ERR_STEP_FAILED]')
    expect(message.match(/Look around with `tsbuild shell`\./g)).toHaveLength(1)
    for (const mode of ['json', 'rawjson', 'quiet', 'none']) {
      const { stderr } = await user.run(['--progress', mode, ...secretFlags, context], withToken)
      expect(stderr).toContain('exit code: 3')
      expect(stderr).not.toContain('Look around')
    }
  })

  it('--list shows what is kept: of each build one step, the newest five', async (t) => {
    user.needed(t)
    for (const _ of Array.from({ length: 5 })) await fail(user, context, secretFlags, withToken)
    const table = (await shell('--list')).stdout.split('\n')
    expect(table[0]).toMatch(/^BUILD +FAILED +PLACE +EXIT CODE +STEP$/)
    expect(table).toHaveLength(7)
    expect(table[1]).toMatch(
      /^[0-9a-f]{24} +(now|\d+ seconds? ago) +failing\/Dockerfile:8 +3 +\[base 6\/6\] RUN --mount=type=bind/,
    )
    const listed = JSON.parse((await shell('--list', '--format', 'json')).stdout)
    expect(listed).toHaveLength(5)
    expect(listed[0]).toMatchObject({ code: 'ERR_STEP_FAILED', exitCode: 3, source: { startLine: 8 } })
    expect(readdirSync(user.path('store', 'v1', 'failures'))).toHaveLength(5)
    // The beginning of a ref is enough, and an older one can be named.
    const { ref } = listed[4]
    expect((await shell(ref.slice(0, 12), '--', 'cat', 'out')).stdout).toBe('half\n')
  })

  it('an open shell keeps its failure while newer ones come', async (t) => {
    user.needed(t)
    const [{ ref }] = JSON.parse((await shell('--list', '--format', 'json')).stdout)
    const open = user.begin(['shell', ref, '--', 'sh', '-c', 'echo open >&2; sleep 60 & wait; cat out'])
    try {
      await open.saw(/open/)
      for (const _ of Array.from({ length: 6 })) await fail(user, context, secretFlags, withToken)
      const during = JSON.parse((await shell('--list', '--format', 'json')).stdout)
      expect(during.map((failure: { ref: string }) => failure.ref)).toContain(ref)
    } finally {
      open.child.kill('SIGTERM')
    }
    expect((await open.outcome).code).toBe(143)
    await fail(user, context, secretFlags, withToken)
    const after = JSON.parse((await shell('--list', '--format', 'json')).stdout)
    expect(after.map((failure: { ref: string }) => failure.ref)).not.toContain(ref)
    expect(after).toHaveLength(5)
  })

  it('that is killed leaves no mount, and its layer is swept', async (t) => {
    user.needed(t)
    const open = user.begin(['shell', '--', 'sh', '-c', 'echo open >&2; sleep 60'])
    await open.saw(/open/)
    open.child.kill('SIGKILL')
    await open.outcome
    await expect.poll(() => findMounts(user.path('store')), { timeout: 5_000 }).toEqual([])
    await shell('--', 'true')
    expect(readdirSync(user.path('store', 'v1', 'ingest'))).toEqual([])
  })

  it('a step that is mended builds as if it had never failed', async (t) => {
    user.needed(t)
    const mended = user.project('mended', ['RUN echo half > out', 'RUN test ! -e new && cat out > /result'])
    const archive = user.path('mended.tar')
    expect((await user.run(['-o', `type=tar,dest=${archive}`, mended])).code).toBe(0)
    expect(await check('tar', ['-xOf', archive, 'result'])).toBe('half\n')
  })

  it('runs as the USER of the step, and by its SHELL', async (t) => {
    user.needed(t)
    const lines = ['SHELL ["/bin/ash", "-ec"]', 'USER web', 'RUN echo mine > mine; false']
    await fail(user, user.project('web', lines))
    const { stdout } = await user.run(['shell'], { input: 'echo $0; id -un; false; ls -l mine\n' })
    expect(stdout).toMatch(/^\/bin\/ash\nweb\n-rw-r--r-- +1 web +1000 +5 .* mine\n$/)
  })

  it('a step that was cancelled is not kept', async (t) => {
    user.needed(t)
    const before = (await shell('--list', '--format', 'json')).stdout
    const running = user.begin(['--progress', 'plain', user.project('slow', ['RUN echo begun; sleep 60'])])
    await running.saw(/begun/)
    running.child.kill('SIGINT')
    expect((await running.outcome).code).toBe(130)
    expect((await shell('--list', '--format', 'json')).stdout).toBe(before)
  })

  it('a step that ran out of its time is kept', async (t) => {
    user.needed(t)
    const slow = user.project('late', ['RUN echo half > out; sleep 60'])
    const { stderr } = await fail(user, slow, ['--step-timeout', '2s'])
    expect(stderr).toContain('[ERR_TIMEOUT]')
    expect((await shell('--', 'cat', 'out')).stdout).toBe('half\n')
  })

  it.for([
    ['--network=host', 'network.host', 'security.insecure'],
    ['--security=insecure', 'security.insecure', 'network.host'],
  ] as const)(
    'RUN-10: of a step with %s needs the entitlement %s again',
    async ([flag, needed, other], t) => {
      user.needed(t)
      await fail(user, user.project(`entitled-${needed}`, [`RUN ${flag} false`]), ['--allow', needed])
      for (const given of [[], ['--allow', other]]) {
        const refused = await shell(...given, '--', 'true')
        expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('[ERR_ENTITLEMENT]')])
      }
      expect((await shell('--allow', needed, '--', 'true')).code).toBe(0)
      // `--on-error` is a process of the build, which is allowed it.
      const { stderr } = await fail(user, user.path(`entitled-${needed}`), [
        '--allow',
        needed,
        '--on-error',
        'echo allowed',
      ])
      expect(stderr).toMatch(/on-error: .*\n.*allowed\n/)
    },
  )

  it('has no more than the build gave its steps', async (t) => {
    user.needed(t)
    const walls = [
      '--security-opt',
      'minimal',
      '--security-opt',
      'no-new-privileges',
      '--on-error',
      'grep CapBnd /proc/self/status',
    ]
    const { stderr } = await fail(user, user.project('walled', ['RUN false']), walls)
    const { stdout } = await shell('--', 'grep', '-E', 'CapBnd|NoNewPrivs', '/proc/self/status')
    const [, bounding] = /CapBnd:\t(\w+)/.exec(stderr) ?? []
    expect(stdout).toBe(`CapBnd:\t${bounding}\nNoNewPrivs:\t1\n`)
    expect(bounding).not.toBe('00000000a80425fb')
  })

  it('MNT-08: has the cache mounts of the scope that the build had, whoever opens it', async (t) => {
    user.needed(t)
    const mount = 'RUN --mount=type=cache,id=scoped,target=/cache'
    const scoped = user.project('scoped', [`${mount} echo theirs >> /cache/log; false`])
    const seen = user.project('seen', [`${mount} echo ours > /cache/log`, `${mount} cat /cache/log; false`])
    await fail(user, scoped, ['--scope', 'pr/7'])
    const inside = await shell('--', 'sh', '-c', 'cat /cache/log; echo evil >> /cache/log')
    expect(inside.stdout).toBe('theirs\n')
    const ours = await fail(user, seen, ['--no-cache'])
    expect(ours.stderr).toMatch(/ours\n/)
    expect(ours.stderr).not.toMatch(/theirs|evil/)
    expect((await user.run(['shell', '--scope', 'pr/7', '--', 'cat', '/cache/log'])).stdout).toBe('ours\n')
  })

  it('--on-error runs where the step failed, before the build ends with the error of the step', async (t) => {
    user.needed(t)
    const look = 'pwd; cat out /given /cache/here; echo "[$TOKEN]"; echo new > new; exit 9'
    const { stderr } = await fail(user, context, [...secretFlags, '--on-error', look], withToken)
    expect(stderr.match(/on-error: pwd/g)).toHaveLength(1)
    expect(stderr).toMatch(/on-error: .*\n.*\/work\n.*half\n.*from the contextbeen\n.*\[\*\*\*\]\n/)
    expect(stderr).toContain('did not complete successfully: exit code: 3')
    expect(stderr).not.toContain(token)
    expect((await shell('--', 'ls')).stdout).toBe('out\n')
    expect(findText(user.path('store'), forms)).toEqual([])
  })

  it('--on-error ends with the time of a step', async (t) => {
    user.needed(t)
    const args = ['--step-timeout', '2s', '--on-error', 'echo here; sleep 60']
    const { stderr } = await fail(user, user.project('quick', ['RUN false']), args)
    expect(stderr).toMatch(/on-error: .*\n.*here\n.*on-error: /)
    expect(stderr).toContain('did not complete successfully: exit code: 1')
  })
})

describe('tsbuild shell', () => {
  const user = userOf(isRoot ? 'root' : 'an ordinary user')
  beforeAll(() => user.open())
  afterAll(() => user.close())

  it.each([
    [['shell'], 1, 'ERR_FAILURE_NOT_FOUND', 'no failed step is kept in this store'],
    [['shell', 'nosuch'], 1, 'ERR_FAILURE_NOT_FOUND', 'no failed step is kept'],
    [['shell', 'a', 'b'], 2, 'ERR_USAGE', 'it takes one argument'],
    [['shell', '--before', '--after'], 2, 'ERR_USAGE', 'both --before and --after'],
    [['shell', '--'], 2, 'ERR_USAGE', 'expected a program after `--`'],
    [['shell', '--list', 'x'], 2, 'ERR_USAGE', 'Cannot use --list with'],
    [['shell', '--list', '--', 'ls'], 2, 'ERR_USAGE', 'Cannot use --list with'],
    [['shell', '--allow', 'network.hots'], 2, 'ERR_USAGE', 'Did you mean `network.host`?'],
    [['shell', '--secret', 'x=y'], 2, 'ERR_USAGE', 'Cannot use --secret'],
    [['shell', '--befor'], 2, 'ERR_USAGE', 'Did you mean `--before`?'],
    [['shell', '--format', 'xml', '--list'], 2, 'ERR_USAGE', '"table", "json"'],
  ])('refuses %j', async (args, code, error, text) => {
    const outcome = await user.run(args)
    expect([outcome.code, outcome.stderr]).toEqual([code, expect.stringContaining(text)])
    expect(outcome.stderr).toContain(`[${error}]`)
  })

  it('lists the builds that it knows, where another one is named', async (t) => {
    user.needed(t)
    await fail(user, user.project('one', ['RUN exit 5']))
    const outcome = await user.run(['shell', 'ffffffffffff'])
    expect(outcome.stderr).toMatch(
      /\[ERR_FAILURE_NOT_FOUND\]\nHint: [0-9a-f]{24}: \[base 6\/6\] RUN exit 5\n/,
    )
    expect((await user.run(['shell', ''])).stderr).toContain('[ERR_FAILURE_NOT_FOUND]')
  })

  it('a failure that was damaged, or whose layers are gone, is said to be gone', async (t) => {
    user.needed(t)
    const { stdout } = await user.run(['shell', '--list', '--format', 'json'])
    const [{ ref }] = JSON.parse(stdout)
    const snapshots = user.path('store', 'v1', 'snapshots')
    for (const id of readdirSync(snapshots)) await check('rm', [join(snapshots, id, 'snapshot.json')])
    const gone = await user.run(['shell'])
    expect(gone.stderr).toContain('a layer that it stands on is not kept any more')
    await check('sh', ['-c', `echo '{' > ${user.path('store', 'v1', 'failures', ref, 'failure.json')}`])
    expect((await user.run(['shell'])).stderr).toContain('no failed step is kept')
  })

  it('a build that is told to keep going as before: the error has no more than it had', async (t) => {
    user.needed(t)
    const outcome = await user.run(['--progress', 'json', user.project('json', ['RUN exit 5'])])
    const failed = readEvents(outcome.stderr).find((event) => event.type === 'build.failed')
    expect(failed).toMatchObject({
      code: 'ERR_STEP_FAILED',
      message: expect.stringContaining('exit code: 5'),
    })
    expect(statSync(user.path('store', 'v1', 'failures')).mode & 0o777).toBe(0o700)
  })
})
