import { chmodSync, mkdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openBusyboxWorkspace, readLine, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('cache')
})
afterAll(() => workspace?.remove())

const build = (context: string, ...flags: readonly string[]) => workspace.tsbuild.build([...flags, context])
const instruction = (name: string) => /(RUN|COPY|ADD|WORKDIR) .*/.exec(name)?.[0] ?? name

describe('the cache', () => {
  it('reruns nothing when the context moved and all its times changed', async () => {
    const context = workspace.context('moving', {
      Dockerfile: 'FROM busybox:test\nCOPY . /src\nRUN cat /src/a/b > /out\n',
      'a/b': 'text\n',
    })
    expect((await build(context)).executed).toHaveLength(2)
    const moved = workspace.path('moved')
    renameSync(context, moved)
    for (const name of ['a', 'a/b', 'Dockerfile']) utimesSync(join(moved, name), 1, 1)
    expect((await build(moved)).executed).toEqual([])
  })

  it('reruns what follows when a mode changed', async () => {
    const context = workspace.context('mode', {
      Dockerfile: 'FROM busybox:test\nCOPY tool /tool\nRUN ls -l /tool > /out\n',
      tool: '#!/bin/sh\n',
    })
    chmodSync(join(context, 'tool'), 0o644)
    await build(context)
    chmodSync(join(context, 'tool'), 0o755)
    expect((await build(context)).executed).toHaveLength(2)
  })

  it('reruns only the steps behind the copy of the edited file', async () => {
    const context = workspace.context('edit', {
      Dockerfile: ['FROM busybox:test', 'COPY one /one', 'RUN echo 1', 'COPY two /two', 'RUN echo 2'].join(
        '\n',
      ),
      one: '1',
      two: '2',
    })
    await build(context)
    writeFileSync(join(context, 'two'), 'changed')
    const steps = await build(context)
    expect(steps.executed.map(instruction)).toEqual(['COPY two /two', 'RUN echo 2'])
    expect(steps.cached.map(instruction)).toEqual(['COPY one /one', 'RUN echo 1'])
  })

  it('finds a step by the content it reads when an earlier step changed without effect on it', async () => {
    const text = (comment: string) =>
      ['FROM busybox:test AS a', `RUN echo ${comment} > /dev/null; echo same > /same`]
        .concat(['FROM busybox:test', 'COPY --from=a /same /same', 'RUN cat /same'])
        .join('\n')
    const context = workspace.context('content', { Dockerfile: text('first') })
    await build(context)
    writeFileSync(join(context, 'Dockerfile'), text('second'))
    const steps = await build(context)
    expect(steps.executed).toHaveLength(1)
    expect(steps.executed[0]).toContain('second')
  })

  it('tells build arguments apart only in the steps that can see them', async () => {
    const context = workspace.context('args', {
      Dockerfile: [
        'FROM busybox:test',
        'RUN echo before',
        'ARG VERSION',
        'RUN echo "$VERSION" > /version',
      ].join('\n'),
    })
    await build(context, '--build-arg', 'VERSION=1')
    expect((await build(context, '--build-arg', 'VERSION=2')).executed).toHaveLength(1)
    expect((await build(context, '--build-arg', 'VERSION=1')).executed).toEqual([])
    const out = workspace.path('args-out')
    await build(context, '--build-arg', 'VERSION=2', '-o', out)
    expect(readLine(join(out, 'version'))).toBe('2')
  })

  it('reruns the stages of --no-cache-filter and nothing before them', async () => {
    const context = workspace.context('filter', {
      Dockerfile: ['FROM busybox:test AS a', 'RUN echo a > /a', 'FROM a AS b', 'RUN echo b > /b'].join('\n'),
    })
    await build(context)
    const steps = await build(context, '--no-cache-filter', 'b')
    expect(steps.executed.map(instruction)).toEqual(['RUN echo b > /b'])
  })

  it('caches a failed step never', async () => {
    const context = workspace.context('failing', { Dockerfile: 'FROM busybox:test\nRUN echo once; exit 7\n' })
    for (let round = 0; round < 2; round += 1) {
      const outcome = await workspace.tsbuild.run(['--progress', 'plain', context])
      expect(outcome.code).toBe(1)
      expect(outcome.stderr).toContain('once')
    }
  })

  it('notices that a file became a directory', async () => {
    const context = workspace.context('kind', {
      Dockerfile:
        'FROM busybox:test\nCOPY thing /thing\nRUN test -f /thing && echo file > /kind || echo directory > /kind\n',
      thing: 'file',
    })
    await build(context)
    renameSync(join(context, 'thing'), join(context, 'old'))
    mkdirSync(join(context, 'thing'))
    const out = workspace.path('kind-out')
    expect((await build(context, '-o', out)).executed).toHaveLength(2)
    expect(readLine(join(out, 'kind'))).toBe('directory')
  })
})
