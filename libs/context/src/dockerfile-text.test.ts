import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { readDockerfile, readIgnoreFile } from './index.ts'

let cwd: string
let context: string
beforeEach(() => {
  cwd = temporaryDirectory()
  context = join(cwd, 'context')
  mkdirSync(context)
})

const put = (name: string, text = name) => writeFileSync(join(cwd, name), text)

describe('readDockerfile()', () => {
  it('takes Dockerfile of the context before dockerfile', async () => {
    put('context/Dockerfile')
    put('context/dockerfile')
    expect(await readDockerfile(context, undefined, cwd)).toEqual({
      path: join(context, 'Dockerfile'),
      shown: 'context/Dockerfile',
      text: 'context/Dockerfile',
      umask: 0o022,
    })
  })

  it('takes dockerfile where there is no Dockerfile', async () => {
    put('context/dockerfile')
    expect(await readDockerfile(context, undefined, cwd)).toMatchObject({ shown: 'context/dockerfile' })
  })

  it('takes a named file relative to the working directory, not to the context', async () => {
    put('context/Dockerfile')
    put('build.Dockerfile')
    expect(await readDockerfile(context, 'build.Dockerfile', cwd)).toMatchObject({
      path: join(cwd, 'build.Dockerfile'),
      shown: 'build.Dockerfile',
    })
  })

  it('takes a named file outside of the context, and shows its whole path', async () => {
    const elsewhere = join(temporaryDirectory(), 'Dockerfile')
    writeFileSync(elsewhere, 'FROM scratch')
    expect(await readDockerfile(context, elsewhere, cwd)).toEqual({
      path: elsewhere,
      shown: elsewhere,
      text: 'FROM scratch',
      umask: 0o022,
    })
  })

  it.each([
    [0o644, 0o022],
    [0o664, 0o002],
    [0o666, 0o000],
    [0o640, 0o027],
    [0o660, 0o007],
    [0o600, 0o077],
    [0o400, undefined],
    [0o755, undefined],
    [0o1644, undefined],
  ])('takes a file of mode %o for one made under the umask %o', async (mode, umask) => {
    put('context/real')
    chmodSync(join(context, 'real'), mode)
    symlinkSync('real', join(context, 'Dockerfile'))
    expect((await readDockerfile(context, undefined, cwd)).umask).toBe(umask)
  })

  it('shows a path below a directory whose name begins with two dots as relative', async () => {
    mkdirSync(join(cwd, '..hidden'))
    put('..hidden/Dockerfile')
    expect(await readDockerfile(context, '..hidden/Dockerfile', cwd)).toMatchObject({
      shown: '..hidden/Dockerfile',
    })
  })

  it.each([
    ['relative', '../outside'],
    ['through a directory', 'up/outside'],
    ['through /proc', '/proc/self/cwd/../../../../../etc/hostname'],
  ])('does not follow a symlink out of the context: %s', async (_, target) => {
    put('outside', 'SECRET of the host')
    symlinkSync('..', join(context, 'up'))
    symlinkSync(target, join(context, 'Dockerfile'))
    const refused = { code: 'ERR_CONTEXT_UNREADABLE', message: expect.stringContaining('out of the context') }
    await expect(readDockerfile(context, undefined, cwd)).rejects.toMatchObject(refused)
    await expect(readDockerfile(context, 'context/Dockerfile', cwd)).rejects.toMatchObject(refused)
    await expect(readDockerfile(context, 'context/up/outside', cwd)).rejects.toMatchObject(refused)
  })

  it('follows symlinks of a file that is named outside of the context', async () => {
    put('real', 'FROM scratch')
    symlinkSync('real', join(cwd, 'link'))
    expect(await readDockerfile(context, 'link', cwd)).toMatchObject({ text: 'FROM scratch' })
  })

  it('follows a symlink where the context itself is one', async () => {
    put('context/real', 'FROM scratch')
    symlinkSync('real', join(context, 'Dockerfile'))
    symlinkSync('context', join(cwd, 'link'))
    expect(await readDockerfile(join(cwd, 'link'), undefined, cwd)).toMatchObject({ text: 'FROM scratch' })
  })

  it('does not wait for a pipe', async () => {
    execFileSync('mkfifo', [join(context, 'Dockerfile')])
    await expect(readDockerfile(context, undefined, cwd)).rejects.toMatchObject({
      message: expect.stringContaining('no regular file'),
    })
  })

  it('follows a symlink inside of the context', async () => {
    mkdirSync(join(context, 'sub'))
    put('context/sub/real', 'real')
    symlinkSync('sub/real', join(context, 'Dockerfile'))
    expect(await readDockerfile(context, undefined, cwd)).toMatchObject({ text: 'real' })
  })

  it('throws ERR_DOCKERFILE_NOT_FOUND with every place when there is none', async () => {
    await expect(readDockerfile(context, undefined, cwd)).rejects.toMatchObject({
      kind: 'user',
      code: 'ERR_DOCKERFILE_NOT_FOUND',
      message: `Cannot find a Dockerfile: there is no "${context}/Dockerfile" and no "${context}/dockerfile"`,
      hints: [expect.stringContaining('--file')],
    })
  })

  it('throws ERR_DOCKERFILE_NOT_FOUND, and takes no other, when the named one is missing', async () => {
    put('context/Dockerfile')
    await expect(readDockerfile(context, 'Dockerfile', cwd)).rejects.toMatchObject({
      code: 'ERR_DOCKERFILE_NOT_FOUND',
      message: `Cannot find a Dockerfile: there is no "${cwd}/Dockerfile"`,
      hints: ['--file is relative to the working directory: `--file context/Dockerfile`.'],
    })
    await expect(readDockerfile(context, 'Other', cwd)).rejects.toMatchObject({
      code: 'ERR_DOCKERFILE_NOT_FOUND',
      hints: [],
    })
  })

  it('throws ERR_DOCKERFILE_NOT_FOUND when it is a directory', async () => {
    mkdirSync(join(context, 'Dockerfile'))
    await expect(readDockerfile(context, undefined, cwd)).rejects.toMatchObject({
      code: 'ERR_DOCKERFILE_NOT_FOUND',
      message: expect.stringContaining('no regular file'),
    })
  })

  it('throws ERR_DOCKERFILE_SYNTAX when it is larger than 16 MiB', async () => {
    put('context/Dockerfile')
    truncateSync(join(context, 'Dockerfile'), 16 * 2 ** 20 + 1)
    await expect(readDockerfile(context, undefined, cwd)).rejects.toMatchObject({
      code: 'ERR_DOCKERFILE_SYNTAX',
      message: expect.stringContaining('16777217 bytes'),
    })
  })
})

describe('readIgnoreFile()', () => {
  it.each(['.dockerignore', 'Dockerfile.dockerignore'])(
    'does not follow %s out of the context',
    async (name) => {
      put('outside', '[SECRET of the host')
      symlinkSync('../outside', join(context, name))
      await expect(readIgnoreFile(context, join(context, 'Dockerfile'), cwd)).rejects.toMatchObject({
        code: 'ERR_CONTEXT_UNREADABLE',
        message: expect.stringContaining('out of the context'),
      })
    },
  )

  const dockerfile = () => join(context, 'build.Dockerfile')

  it("takes the Dockerfile's own ignore file alone where there are both", async () => {
    put('context/build.Dockerfile.dockerignore', 'own')
    put('context/.dockerignore', 'general')
    expect(await readIgnoreFile(context, dockerfile(), cwd)).toEqual({
      shown: 'context/build.Dockerfile.dockerignore',
      text: 'own',
    })
  })

  it("takes an empty one of the Dockerfile's own before that of the context", async () => {
    put('context/build.Dockerfile.dockerignore', '')
    put('context/.dockerignore', 'general')
    expect(await readIgnoreFile(context, dockerfile(), cwd)).toMatchObject({ text: '' })
  })

  it('takes .dockerignore of the context for a Dockerfile that is elsewhere', async () => {
    put('context/.dockerignore', 'general')
    put('.dockerignore', 'of the working directory')
    expect(await readIgnoreFile(context, join(cwd, 'Dockerfile'), cwd)).toMatchObject({ text: 'general' })
  })

  it('gives undefined where there is none', async () => {
    expect(await readIgnoreFile(context, dockerfile(), cwd)).toBeUndefined()
  })

  it('throws ERR_CONTEXT_UNREADABLE when it is a directory', async () => {
    mkdirSync(join(context, '.dockerignore'))
    await expect(readIgnoreFile(context, dockerfile(), cwd)).rejects.toMatchObject({
      code: 'ERR_CONTEXT_UNREADABLE',
      message: `Cannot read "${context}/.dockerignore": it is no regular file`,
    })
  })
})
