import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openBusyboxWorkspace, readLine, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('modes')
})
afterAll(() => workspace?.remove())

const build = (context: string, ...flags: readonly string[]) => workspace.tsbuild.build([...flags, context])
const instruction = (name: string) => /(RUN|COPY|ADD|WORKDIR) .*/.exec(name)?.[0] ?? name
const script = (cwd: string, text: string) => execFileSync('sh', ['-euc', text], { cwd, encoding: 'utf8' })

/** The umasks that a checkout is made under; the first is that of most machines. */
const umasks = ['022', '002', '027', '077', '000']

/** Makes a repository and gives what clones it under a umask. All clones are of one time. */
function repository(name: string, files: Readonly<Record<string, string>>) {
  const origin = workspace.context(`${name}-origin`, { '.dockerignore': '.git\n', ...files })
  const git = 'git -c user.name=t -c user.email=t@t'
  script(origin, `chmod 755 src/run; git init -q .; git add .; ${git} commit -qm tree`)
  return (umask: string) => {
    const clone = workspace.path(`${name}-${umask}`)
    script(origin, `umask ${umask}; git clone -q . ${clone}; find ${clone} -exec touch -hd @1700000000 {} +`)
    return clone
  }
}

const tree = { 'src/run': '#!/bin/sh\n', 'src/deep/text': 'text\n', 'top level': 'x\n' }

describe('modes of a context', () => {
  it('find every step again in a checkout under another umask', async () => {
    const clone = repository('hits', {
      ...tree,
      Dockerfile: [
        'FROM busybox:test',
        'COPY . /src',
        'COPY --link --parents src/deep/text /link/',
        'COPY --from=other src/run /other/run',
        'RUN --mount=type=bind,target=/context ls -lR /src /link /other /context > /modes',
      ].join('\n'),
    })
    const contexts = umasks.map((umask) => [umask, clone(umask)] as const)
    const seen = new Set(contexts.map(([, path]) => script(path, 'stat -c %a Dockerfile src src/run').trim()))
    expect(seen.size).toBe(umasks.length)
    const ran: Record<string, readonly string[]> = {}
    for (const [umask, path] of contexts) {
      const { executed } = await build(path, '--build-context', `other=${path}`)
      // A list of layers is put together each time.
      ran[umask] = executed.filter((name) => !name.includes(' LINK ')).map((name) => instruction(name))
    }
    const first = ran['022'] ?? []
    expect(first.length).toBeGreaterThanOrEqual(4)
    expect(ran).toEqual({ '022': first, '002': [], '027': [], '077': [], '000': [] })
  })

  it('give the same image, byte for byte, in a checkout under another umask', async () => {
    const clone = repository('bytes', {
      ...tree,
      Dockerfile: 'FROM scratch\nCOPY . /\n',
    })
    const digests = []
    for (const umask of umasks) {
      const env = { SOURCE_DATE_EPOCH: '1700000000' }
      digests.push(await workspace.tsbuild.check(['--no-cache', '-q', clone(umask)], { env }))
    }
    expect(digests[0]).toMatch(/^sha256:[0-9a-f]{64}\n$/)
    expect(new Set(digests).size).toBe(1)
  })

  it('count, and are kept, where somebody chose them', async () => {
    const clone = repository('chosen', {
      ...tree,
      Dockerfile:
        'FROM busybox:test\nCOPY src /src\nRUN stat -c %a /src/deep /src/run /src/deep/text > /modes\n',
    })
    const built = async (umask: string, change: string) => {
      const context = workspace.path(`chosen-${umask}`)
      script(context, change)
      const out = workspace.path('chosen-out')
      const steps = await build(context, '-o', `type=local,dest=${out}`)
      return [steps.executed.map((name) => instruction(name).split(' ')[0]), readLine(join(out, 'modes'))]
    }
    const both = ['COPY', 'RUN']
    for (const umask of ['022', '002']) clone(umask)
    expect(await built('022', 'true')).toEqual([both, '755\n755\n644'])
    expect(await built('002', 'true')).toEqual([[], '755\n755\n644'])
    expect(await built('002', 'chmod 600 src/deep/text')).toEqual([both, '755\n755\n600'])
    expect(await built('022', 'chmod 600 src/deep/text')).toEqual([[], '755\n755\n600'])
    expect(await built('002', 'chmod 775 src/deep/text')).toEqual([both, '755\n755\n755'])
    expect(await built('022', 'chmod 755 src/deep/text')).toEqual([[], '755\n755\n755'])
    expect(await built('002', 'chmod 4750 src/run; chmod 1777 src/deep')).toEqual([both, '1777\n4750\n755'])
  })

  it('are not widened because one Dockerfile in an open directory is private', async () => {
    const context = workspace.context('private', {
      Dockerfile: 'FROM busybox:test\nCOPY key /key\nRUN stat -c %a /key > /modes\n',
      key: 'secret\n',
    })
    for (const name of ['Dockerfile', 'key']) chmodSync(join(context, name), 0o600)
    chmodSync(context, 0o755)
    const out = workspace.path('private-out')
    await build(context, '-o', `type=local,dest=${out}`)
    expect(readLine(join(out, 'modes'))).toBe('600')
  })
})

describe('COPY', () => {
  const flags = (flag: string) => ({
    Dockerfile: `FROM busybox:test\nCOPY ${flag} src /src\nRUN stat -c %a /src/file > /modes\n`,
    'src/file': 'x\n',
  })

  it('with an octal --chmod does not ask for the modes of its sources', async () => {
    const context = workspace.context('octal', flags('--chmod=0640'))
    await build(context)
    chmodSync(join(context, 'src/file'), 0o4711)
    chmodSync(join(context, 'src'), 0o700)
    expect((await build(context)).executed).toEqual([])
    mkdirSync(join(context, 'src/new'))
    expect((await build(context)).executed).toHaveLength(2)
  })

  it('with a symbolic --chmod does', async () => {
    const context = workspace.context('symbolic', flags('--chmod=go+r'))
    await build(context)
    chmodSync(join(context, 'src/file'), 0o755)
    const out = workspace.path('symbolic-out')
    expect((await build(context, '-o', `type=local,dest=${out}`)).executed).toHaveLength(2)
    expect(readLine(join(out, 'modes'))).toBe('755')
  })

  it.each([
    ['with --chown does not ask for the owners of its sources', '--chown=1:1', []],
    ['without it does', '', ['COPY']],
  ])('%s', async (_, flag, executed) => {
    const context = workspace.context(`owner${flag}`, {
      Dockerfile: [
        'FROM busybox:test AS from',
        'ARG OWNER',
        'RUN mkdir /d && echo x > /d/f && chown -R $OWNER /d',
        'FROM busybox:test',
        `COPY ${flag} --from=from /d /d`,
      ].join('\n'),
    })
    await build(context, '--build-arg', 'OWNER=5:5')
    const steps = await build(context, '--build-arg', 'OWNER=7:7')
    const copies = steps.executed
      .map((name) => instruction(name).split(' ')[0])
      .filter((word) => word === 'COPY')
    expect(copies).toEqual(executed)
  })
})
