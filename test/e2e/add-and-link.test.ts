import { lstatSync, mkdirSync, readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { createRepository, type SourceServer, startSourceServer } from '../support/source-server.ts'
import { check, type RunOptions } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, readLine, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let server: SourceServer
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('add')
  mkdirSync(workspace.path('git'))
  server = await startSourceServer(workspace.path('git'))
})
afterAll(async () => {
  await server?.stop()
  await workspace?.remove()
})

let builds = 0
/** Builds a Dockerfile and exports its files. */
async function exported(
  lines: readonly string[],
  files: Readonly<Record<string, string>> = {},
  { args = [], ...options }: RunOptions & { readonly args?: readonly string[] } = {},
) {
  const context = workspace.context(`context-${builds}`, { Dockerfile: lines.join('\n'), ...files })
  const out = workspace.path(`out-${builds++}`)
  const steps = await workspace.tsbuild.build(['-o', out, ...args, context], options)
  const at = (name: string) => `${out}/${name}`
  return { steps, text: (name: string) => readLine(at(name)), stat: (name: string) => lstatSync(at(name)) }
}

const ran = ({ executed }: { readonly executed: readonly string[] }) =>
  executed.filter((name) => !/internal|exporting/.test(name))

describe('ADD of a URL', () => {
  it('is a file 0600 with the time of Last-Modified, named by the path without its query', async () => {
    server.put('/files/data.txt', 'by url\n', { lastModified: 1_500_000_000 })
    const { text, stat } = await exported(['FROM scratch', `ADD ${server.url}/files/data.txt?x=y /d/`])
    expect(text('d/data.txt')).toBe('by url')
    expect(stat('d/data.txt').mode & 0o7777).toBe(0o600)
    expect(stat('d/data.txt').mtimeMs).toBe(1_500_000_000_000)
  })

  it('asks the server on each build, and executes nothing when it says 304', async () => {
    server.put('/same', 'same')
    const lines = ['FROM scratch', `ADD ${server.url}/same /same`]
    await exported(lines)
    const before = server.requests.length
    const { steps } = await exported(lines)
    expect(steps.cached).toContainEqual(expect.stringContaining('ADD'))
    expect(server.requests.slice(before).map(({ status }) => status)).toContain(304)
    server.put('/same', 'other')
    expect((await exported(lines)).text('same')).toBe('other')
  })

  it('with --checksum and the bytes at hand asks no server, and refuses other bytes', async () => {
    server.put('/pinned', 'pinned\n')
    const sum = (await check('sha256sum', [], { input: 'pinned\n' })).slice(0, 64)
    const lines = ['FROM scratch', `ADD --checksum=sha256:${sum} ${server.url}/pinned /p`]
    await exported(lines)
    const before = server.requests.length
    expect((await exported(lines)).text('p')).toBe('pinned')
    expect(server.requests).toHaveLength(before)
    const wrong = ['FROM scratch', `ADD --checksum=sha256:${'0'.repeat(64)} ${server.url}/pinned /p`]
    await expect(exported(wrong)).rejects.toThrow('ERR_DIGEST_MISMATCH')
  })

  it('names the line for a status of 404', async () => {
    await expect(exported(['FROM scratch', `ADD ${server.url}/gone /g`])).rejects.toThrow('ERR_HTTP_STATUS')
  })
})

describe('ADD of a git repository', () => {
  it('puts the files of the ref there, root owned, without .git', async (test) => {
    needs(test, 'program git')
    const repository = createRepository(workspace.path('git'), 'added')
    repository.commit({ a: 'one', 'sub/b': 'b' })
    repository.tag('v1')
    repository.commit({ a: 'two' })
    const url = `${server.url}/git/added.git`
    const lines = ['FROM scratch', `ADD ${url}#v1 /src`, `ADD ${url}#main:sub /sub`]
    const { text, stat } = await exported(lines)
    expect([text('src/a'), text('sub/b')]).toEqual(['one', 'b'])
    expect(() => stat('src/.git')).toThrow('ENOENT')
    const kept = await exported(['FROM scratch', `ADD --keep-git-dir=true ${url} /src`])
    expect(kept.stat('src/.git').isDirectory()).toBe(true)
  })

  it('executes nothing again for a commit that leaves the files alone', async (test) => {
    needs(test, 'program git')
    const repository = createRepository(workspace.path('git'), 'still')
    repository.commit({ 'sub/b': 'b' })
    const lines = ['FROM scratch', `ADD ${server.url}/git/still.git#main:sub /sub`]
    await exported(lines)
    repository.commit({ other: 'x' })
    const { steps } = await exported(lines)
    expect(steps.cached).toContainEqual(expect.stringContaining('ADD'))
  })
})

describe('COPY --link', () => {
  const imageOf = async (name: string, lines: readonly string[], files: Readonly<Record<string, string>>) => {
    const context = workspace.context(name, { Dockerfile: lines.join('\n'), ...files })
    const archive = workspace.path(`${name}.tar`)
    const steps = await workspace.tsbuild.build(['-o', `type=oci,dest=${archive}`, context])
    const layout = workspace.path(`${name}-layout`)
    mkdirSync(layout)
    await check('tar', ['-xf', archive, '-C', layout])
    const read = (digest: string) =>
      JSON.parse(readFileSync(`${layout}/blobs/${digest.replace(':', '/')}`, 'utf8'))
    const [{ digest }] = JSON.parse(readFileSync(`${layout}/index.json`, 'utf8')).manifests
    const config = read(read(digest).config.digest)
    return { steps, diffIds: config.rootfs.diff_ids as readonly string[], history: config.history }
  }

  it('keeps its layer upon another base, and executes no copy', async () => {
    const onto = (change: string) => [
      'FROM busybox:test',
      `RUN echo ${change} > /base`,
      'COPY --link f /etc/app/f',
    ]
    const first = await imageOf('link-1', onto('one'), { f: 'linked' })
    const second = await imageOf('link-2', onto('two'), { f: 'linked' })
    expect(second.diffIds.at(-1)).toBe(first.diffIds.at(-1))
    expect(second.diffIds.at(-2)).not.toBe(first.diffIds.at(-2))
    // The merge has no work to do.
    expect(ran(second.steps).toSorted()).toEqual([
      '[2/3] RUN echo two > /base',
      '[3/3] LINK COPY --link f /etc/app/f',
    ])
    expect(second.steps.cached).toContainEqual(expect.stringContaining('COPY --link f'))
  })

  it('stands above the files of the stage, hides none of them, and later steps see both', async () => {
    const lines = ['FROM busybox:test', 'COPY --link f /etc/app/f', 'RUN cat /etc/passwd /etc/app/f > /both']
    const { text } = await exported(lines, { f: 'linked' })
    expect(text('both')).toContain('web:x:1000')
    expect(text('both')).toContain('linked')
  })

  it('--chown by name is looked up in the stage, and another uid of the name copies anew', async () => {
    const onto = (uid: number) => [
      'FROM busybox:test',
      `RUN sed -i s/1000/${uid}/g /etc/passwd /etc/group`,
      'COPY --link --chown=web f /f',
    ]
    const first = await exported(onto(1001), { f: 'x' })
    expect([first.stat('f').uid, first.stat('f').gid]).toEqual([1001, 1001])
    const second = await exported(onto(1002), { f: 'x' })
    expect([second.stat('f').uid, second.stat('f').gid]).toEqual([1002, 1002])
  })

  it('has one history entry for its layer', async () => {
    const lines = ['FROM busybox:test', 'COPY --link f /f', 'RUN true']
    const { diffIds, history } = await imageOf('link-history', lines, { f: 'x' })
    const layers = history.filter((entry: { empty_layer?: boolean }) => entry.empty_layer !== true)
    expect(layers).toHaveLength(diffIds.length)
    expect(layers.at(-2).created_by).toContain('COPY f /f')
  })
})

describe('RUN with a script of its own', () => {
  it('runs the interpreter of the here-document, and leaves no trace', async () => {
    const lines = ['FROM busybox:test', 'RUN <<EOF', '#!/bin/awk -f', 'BEGIN { print "awk" > "/out" }', 'EOF']
    const { text, stat } = await exported(lines)
    expect(text('out')).toBe('awk')
    expect(() => stat('dev/pipes')).toThrow('ENOENT')
    const changed = await exported([...lines.slice(0, 3), 'BEGIN { print "changed" > "/out" }', 'EOF'])
    expect(changed.text('out')).toBe('changed')
  })
})

describe('ADD of a local archive', () => {
  it('extracts it, and --unpack=false does not', async () => {
    const { makeTar } = await import('../support/tar.ts')
    const { writeFileSync } = await import('node:fs')
    const context = workspace.context('archive', {
      Dockerfile: 'FROM scratch\nADD a.bin /d\nADD --unpack=false a.bin /plain\n',
    })
    writeFileSync(`${context}/a.bin`, gzipSync(makeTar([{ name: 'x/f', data: 'unpacked\n' }])))
    const out = workspace.path('archive-out')
    await workspace.tsbuild.check(['-q', '-o', out, context])
    expect(readLine(`${out}/d/x/f`)).toBe('unpacked')
    expect(lstatSync(`${out}/plain`).isFile()).toBe(true)
  })
})
