import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Steps } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, readLine, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('cache-keys')
})
afterAll(() => workspace?.remove())

const build = (context: string, ...flags: readonly string[]) => workspace.tsbuild.build([...flags, context])
const instruction = (name: string) => /(RUN|COPY|ADD|WORKDIR) .*/.exec(name)?.[0] ?? name
const ran = (steps: Steps) => steps.executed.map(instruction)

/** Builds one text after the other in one context; gives what ran in each build. */
async function builds(name: string, texts: readonly string[]): Promise<readonly (readonly string[])[]> {
  const context = workspace.context(name, { Dockerfile: '' })
  const all: (readonly string[])[] = []
  for (const text of texts) {
    writeFileSync(join(context, 'Dockerfile'), text)
    all.push(ran(await build(context)))
  }
  return all
}

describe('early cut-off', () => {
  it('a step that was edited and made the same runs nothing above it', async () => {
    const text = (first: string) =>
      ['FROM busybox:test', `RUN ${first}`, 'RUN cp /a /b', 'RUN cp /b /c'].join('\n')
    const [, second, third] = await builds('edited', [
      text('echo same > /a'),
      text('echo "same" > /a'),
      text('echo other > /a'),
    ])
    expect(second).toEqual(['RUN echo "same" > /a'])
    expect(third).toHaveLength(3)
  })

  it.each([
    ['a mode', 'chmod 700 /a'],
    ['an owner', 'chown 7:7 /a'],
    ['a name', 'mv /a /aa'],
    ['a deletion of the base', 'rm /etc/group'],
    ['an empty directory', 'mkdir /d'],
    ['a symlink', 'ln -s a /l'],
  ])('%s that differs is another result', async (_, more) => {
    const text = (extra: string) => `FROM busybox:test\nRUN echo same > /a${extra}\nRUN ls -l / > /dev/null`
    const [, second] = await builds(`differs-${more.replace(/\W/g, '')}`, [text(''), text(` && ${more}`)])
    expect(second).toHaveLength(2)
  })

  it('holds through several steps, and puts the old layers upon the new one', async () => {
    const text = (first: string) =>
      [
        'FROM busybox:test',
        `RUN ${first}`,
        'RUN echo two > /b',
        'FROM scratch',
        'COPY --from=0 /a /b /',
      ].join('\n')
    const context = workspace.context('through', { Dockerfile: text('echo 1 > /a') })
    await build(context)
    writeFileSync(join(context, 'Dockerfile'), text(': ; echo 1 > /a'))
    const out = workspace.path('through-out')
    expect(ran(await build(context, '-o', out))).toEqual(['RUN : ; echo 1 > /a'])
    expect([readLine(join(out, 'a')), readLine(join(out, 'b'))]).toEqual(['1', 'two'])
  })
})

describe('keys', () => {
  it('another id of a cache mount is another step', async () => {
    const text = (id: string) =>
      `FROM busybox:test\nRUN --mount=type=cache,id=${id},target=/cache echo x >> /cache/log`
    const [first, second, third] = await builds('cache-id', [text('aa'), text('bb'), text('aa')])
    expect([first, second, third].map((steps) => steps?.length)).toEqual([1, 1, 0])
  })

  it('a file of the context and the same file of a stage are one to a copy', async () => {
    const head = 'FROM busybox:test AS files\nCOPY same /same\nFROM busybox:test\n'
    const context = workspace.context('one-copy', { Dockerfile: `${head}COPY same /x/`, same: 'same' })
    await build(context)
    writeFileSync(join(context, 'Dockerfile'), `${head}COPY --from=files /same /x/`)
    expect(ran(await build(context))).toEqual(['COPY same /same'])
  })

  it('a copy of a stage that ran again, because it was gone, never stands beside one of its earlier result', async () => {
    const text = (more: string) =>
      [
        'FROM busybox:test AS made',
        'RUN cat /proc/sys/kernel/random/uuid > /id && mkdir /one /two && cp /id /one && cp /id /two',
        'FROM scratch',
        'COPY --from=made /one /one',
        `COPY --from=made /two /two${more}`,
      ].join('\n')
    const context = workspace.context('mixed', { Dockerfile: text('') })
    await build(context)
    const snapshot = await snapshotOf('uuid')
    rmSync(snapshot, { recursive: true })
    writeFileSync(join(context, 'Dockerfile'), text('/again'))
    const out = workspace.path('mixed-out')
    const steps = await build(context, '-o', out)
    expect(readLine(join(out, 'two', 'again', 'id'))).toBe(readLine(join(out, 'one', 'id')))
    expect(new Set(ran(steps)).size).toBe(3)
  })
})

/** Where the layer of the one step is whose name holds a text. */
async function snapshotOf(text: string): Promise<string> {
  const { root } = workspace.tsbuild
  const { readdirSync, readFileSync } = await import('node:fs')
  const records = join(root, 'v1', 'records')
  for (const shard of readdirSync(records)) {
    for (const name of readdirSync(join(records, shard))) {
      const record = JSON.parse(readFileSync(join(records, shard, name), 'utf8'))
      if (String(record.name).includes(text)) return join(root, 'v1', 'snapshots', record.stored.snapshot)
    }
  }
  throw new Error(`no record of a step with ${text}`)
}
