import { spawn } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { temporaryDirectory } from '@tsbuild/store/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openGitFixture } from '../testing/git-fixture.ts'

/** A program `ssh` that notes what it is given and runs the command here. */
function fakeSsh() {
  const folder = temporaryDirectory('bin-')
  const notes = join(folder, 'notes')
  writeFileSync(
    join(folder, 'ssh'),
    `#!/bin/sh\nprintf '%s\\n' "$@" "agent=$SSH_AUTH_SOCK" >> ${notes}\nfor last; do :; done\nexec sh -c "$last"\n`,
  )
  chmodSync(join(folder, 'ssh'), 0o755)
  return { path: `${folder}:${process.env.PATH}`, notes: () => readFileSync(notes, 'utf8').split('\n') }
}

describe('ssh', { timeout: 60_000 }, () => {
  it.each([
    ['git@h.example:', (root: string) => `git@h.example:${root}/r.git`],
    ['ssh://', (root: string) => `ssh://git@h.example${root}/r.git`],
  ])(
    '%s asks for no password, takes no unknown host, and uses keys of the agent only',
    async (_form, remote) => {
      const ssh = fakeSsh()
      const env = { PATH: ssh.path, SSH_AUTH_SOCK: '/run/agent' }
      const fixture = await openGitFixture({ sources: { env } })
      const commit = fixture.repository('r').commit({ a: 'a' })
      expect(await fixture.fetch({ remote: remote(fixture.root) })).toMatchObject({ pinned: commit })
      expect(ssh.notes()).toEqual(
        expect.arrayContaining([
          'BatchMode=yes',
          'StrictHostKeyChecking=yes',
          'IdentityFile=none',
          'git@h.example',
          'agent=/run/agent',
        ]),
      )
    },
  )

  it('has no agent where none is given', async () => {
    const ssh = fakeSsh()
    const fixture = await openGitFixture({ sources: { env: { PATH: ssh.path } } })
    fixture.repository('r').commit({ a: 'a' })
    await fixture.fetch({ remote: `git@h.example:${fixture.root}/r.git` })
    expect(ssh.notes()).toContain('agent=')
  })

  it('a host that is not known is an error with a hint', async () => {
    const folder = temporaryDirectory('bin-')
    writeFileSync(join(folder, 'ssh'), '#!/bin/sh\necho "Host key verification failed." >&2\nexit 255\n')
    chmodSync(join(folder, 'ssh'), 0o755)
    const fixture = await openGitFixture({ sources: { env: { PATH: `${folder}:${process.env.PATH}` } } })
    await expect(fixture.fetch({ remote: 'git@h.example:r' })).rejects.toMatchObject({
      code: 'ERR_GIT_FAILED',
      message: expect.stringContaining('Host key verification failed'),
      hints: [expect.stringContaining('known_hosts'), expect.anything()],
    })
  })
})

describe('other transports', { timeout: 60_000 }, () => {
  it('git:// works', async () => {
    const fixture = await openGitFixture()
    const commit = fixture.repository('r').commit({ a: 'a' })
    const server = createServer((socket) => {
      const args = ['daemon', '--inetd', '--export-all', `--base-path=${fixture.root}`]
      const daemon = spawn('git', args, { stdio: ['pipe', 'pipe', 'ignore'] })
      socket.pipe(daemon.stdin)
      daemon.stdout.pipe(socket)
      for (const stream of [socket, daemon.stdin]) stream.on('error', () => {})
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    expect(await fixture.fetch({ remote: `git://127.0.0.1:${port}/r.git` })).toMatchObject({ pinned: commit })
  })

  it('a server of plain files, which knows no shallow fetch, works', async () => {
    const fixture = await openGitFixture({
      intercept: ({ url }, response) => {
        const path = join(fixture.root, new URL(url, 'http://h').pathname)
        if (existsSync(path)) response.end(readFileSync(path))
        else response.writeHead(404).end()
        return true
      },
    })
    const repository = fixture.repository('r')
    const first = repository.commit({ a: 'first' })
    const commit = repository.commit({ a: 'second' })
    repository.git('repack', '-a', '-d')
    repository.git('update-server-info')
    expect(await fixture.fetch()).toMatchObject({ pinned: commit })
    expect(await fixture.fetch({ ref: first })).toMatchObject({ pinned: first })
  })
})
