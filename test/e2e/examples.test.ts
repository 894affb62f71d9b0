import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { repository } from '../support/repository.ts'
import { check, run } from '../support/tsbuild.ts'
import { openDebianWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openDebianWorkspace('examples')
})
afterAll(() => workspace?.remove())

/** Where a proxy inspects TLS, `npm ci` needs what the host trusts. */
const trust = ['--trust-ca', 'host']

describe('examples/node-web', () => {
  const project = join(repository, 'examples/node-web')

  it('builds with apt-get and npm ci, and its server works', async () => {
    await workspace.tsbuild.check([...trust, '--progress', 'plain', '-t', 'web:1.0', project])
    const program =
      "const s = require('./server.js').createServer(() => 60000).listen(0, () => fetch('http://127.0.0.1:' + s.address().port).then((r) => r.text()).then((t) => { console.log(t); s.close() }))"
    expect(await workspace.tsbuild.check(['run', 'web:1.0', 'node', '-e', program])).toContain(
      'up for 1 minute',
    )
  }, 400_000)

  it('runs its tests in the stage for it', async () => {
    const outcome = await workspace.tsbuild.run([
      ...trust,
      '--progress',
      'plain',
      '--target',
      'test',
      project,
    ])
    expect(outcome.stderr).toMatch(/# pass 1/)
    expect(outcome.code).toBe(0)
  })

  it('executes nothing the second time', async () => {
    expect((await workspace.tsbuild.build([...trust, '-t', 'web:1.0', project])).executed).toEqual([])
  })
})

describe('examples/use-as-library', () => {
  it('builds an archive from another program', async () => {
    const archive = workspace.path('library.tar')
    const context = workspace.context('library', {
      Dockerfile: 'FROM debian:bookworm\nCOPY file /file\nRUN cat /file\n',
      file: 'from a program\n',
    })
    const program = join(repository, 'examples/use-as-library/build.js')
    const output = await check(process.execPath, [program, context, archive, workspace.tsbuild.root])
    const digest = /^(sha256:[0-9a-f]{64}) in /m.exec(output)?.[1]
    expect(output).toContain('2 of')
    expect(JSON.parse(await check('skopeo', ['inspect', `oci-archive:${archive}`])).Digest).toBe(digest)
    const again = await check(process.execPath, [program, context, archive, workspace.tsbuild.root])
    expect(again).toContain('0 of')
  })

  it('ends with a code of the table when the build fails', async () => {
    const program = join(repository, 'examples/use-as-library/build.js')
    const context = workspace.context('library-failing', { Dockerfile: 'FROM debian:bookworm\nRUN exit 3\n' })
    const outcome = await run(process.execPath, [
      program,
      context,
      workspace.path('no.tar'),
      workspace.tsbuild.root,
    ])
    expect([outcome.code, outcome.stderr]).toEqual([1, expect.stringContaining('ERR_STEP_FAILED')])
  })
})
