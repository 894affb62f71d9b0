import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { realHelper } from '@tsbuild/native/testing'
import { temporaryDirectory, temporaryStore } from '@tsbuild/store/testing'
import { pack } from 'tar-stream'
import { describe, expect, it, type TestContext } from 'vitest'
import {
  archiveName,
  openArchiveContext,
  openEmptyContext,
  openTreeContext,
  readDockerfileOf,
} from './index.ts'

const { signal } = new AbortController()
const newest = 1_500_000_000

/** A tar with a Dockerfile, a link to it, a link to the host, and a file of user 5. */
async function tarBytes(): Promise<Buffer> {
  const tar = pack()
  const mtime = new Date(newest * 1000)
  tar.entry({ name: 'sub/Dockerfile', mtime: new Date(0) }, 'FROM scratch\n')
  tar.entry({ name: 'link', type: 'symlink', linkname: 'sub/Dockerfile', mtime: new Date(0) })
  tar.entry({ name: 'out', type: 'symlink', linkname: '/../../../../etc/passwd', mtime: new Date(0) })
  tar.entry({ name: 'owned', mode: 0o640, uid: 5, gid: 6, mtime }, 'x')
  tar.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of tar) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

async function open(test: TestContext, bytes: Buffer) {
  const native = realHelper(test)
  const store = await temporaryStore()
  const [path, directory] = [temporaryDirectory(), temporaryDirectory()]
  writeFileSync(join(path, archiveName), bytes)
  const tree = { kind: 'directory', path, ignore: [], fingerprints: null, checkoutUmask: null } as const
  const shown = 'standard input'
  const context = await openArchiveContext({
    native,
    store,
    tree,
    directory,
    shown,
    signal,
    onWarning: () => {},
  })
  return { native, store, context }
}

const all = { sources: ['.'], exclude: [], parents: false, uncounted: [] }

describe('openArchiveContext()', () => {
  it('keepFileList() has the list of what digest() read, without reading it again', async (test) => {
    const { store, context } = await open(test, await tarBytes())
    const digest = await context.digest(all, signal)
    expect(await store.getFileList(digest)).toBeUndefined()
    await context.keepFileList(all, digest)
    expect(await store.getFileList(digest)).toContain('f 0640 5:6 1 ')
  })

  it('openArchiveContext() has the files of the archive with their owners and modes', async (test) => {
    const { native, context } = await open(test, gzipSync(await tarBytes()))
    const { manifests } = await native.scan(context.tree, [all], { manifests: true })
    const [list = ''] = [...manifests.values()].map(String)
    expect(list).toContain('f 0640 5:6 1 ')
    expect(list).toContain('l 0777 0:0 sub/Dockerfile /link')
  })

  it('openArchiveContext() counts by content alone, however it was packed', async (test) => {
    const plain = await open(test, await tarBytes())
    const packed = await open(test, gzipSync(await tarBytes()))
    expect(await plain.context.digest(all, signal)).toBe(await packed.context.digest(all, signal))
  })

  it('openArchiveContext() says when its newest entry was made', async (test) => {
    const { context } = await open(test, await tarBytes())
    expect(await context.sourceDate()).toBe(newest)
  })

  it('openArchiveContext() throws ERR_ADD_ARCHIVE for compressed data that is no tar', async (test) => {
    await expect(open(test, gzipSync('FROM scratch\n'))).rejects.toMatchObject({
      kind: 'user',
      code: 'ERR_ADD_ARCHIVE',
    })
  })

  it('openArchiveContext() names itself where a source is missing', async (test) => {
    const { context } = await open(test, await tarBytes())
    await expect(context.digest({ ...all, sources: ['nowhere'] }, signal)).rejects.toMatchObject({
      code: 'ERR_COPY_SOURCE_NOT_FOUND',
      message: 'Cannot copy "nowhere": it is not in the archive from standard input',
    })
  })
})

describe('readDockerfileOf()', () => {
  it('readDockerfileOf() follows symlinks inside of the archive, and none that leads out', async (test) => {
    const { native, context } = await open(test, await tarBytes())
    const read = (file: string | undefined) => readDockerfileOf(context, file, { native, signal })
    expect(await read('link')).toEqual({ path: undefined, shown: 'link', text: 'FROM scratch\n' })
    expect((await read('sub/../sub/Dockerfile')).text).toBe('FROM scratch\n')
    await expect(read('out')).rejects.toMatchObject({ code: 'ERR_DOCKERFILE_NOT_FOUND' })
    await expect(read(undefined)).rejects.toMatchObject({
      code: 'ERR_DOCKERFILE_NOT_FOUND',
      message: expect.stringContaining(
        'no "Dockerfile" and no "dockerfile" in the archive from standard input',
      ),
    })
  })

  it('readDockerfileOf() takes Dockerfile before dockerfile', async (test) => {
    const native = realHelper(test)
    const path = temporaryDirectory()
    const host = { native, store: await temporaryStore() }
    writeFileSync(join(path, 'dockerfile'), 'lower')
    const tree = { kind: 'directory', path, ignore: ['*'], fingerprints: null, checkoutUmask: null } as const
    const context = openTreeContext({ tree, shown: 'x', pinned: '', sourceDate: 7 }, host)
    expect((await readDockerfileOf(context, undefined, { native, signal })).text).toBe('lower')
    writeFileSync(join(path, 'Dockerfile'), 'upper')
    expect((await readDockerfileOf(context, undefined, { native, signal })).text).toBe('upper')
    expect(await context.sourceDate()).toBe(7)
  })
})

describe('openEmptyContext()', () => {
  it('openEmptyContext() says that it is empty, and why', async (test) => {
    const host = { native: realHelper(test), store: await temporaryStore() }
    const context = openEmptyContext(temporaryDirectory(), host)
    await expect(context.digest({ ...all, sources: ['f'] }, signal)).rejects.toMatchObject({
      message: 'Cannot copy "f": it is not in the build context, which is empty',
      hints: [expect.stringContaining('The Dockerfile came alone')],
    })
    expect(await context.sourceDate()).toBeUndefined()
    expect(await openEmptyContext(temporaryDirectory(), host, 7).sourceDate()).toBe(7)
  })
})
