import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('compare')
})
afterAll(() => workspace?.remove())

const dockerfile = [
  'FROM busybox:test',
  'RUN mkdir /d && echo same > /d/same && cat /proc/sys/kernel/random/uuid > /d/random',
  'LABEL kept=yes',
].join('\n')

const build = (tag: string, ...flags: readonly string[]) =>
  workspace.tsbuild.check([
    '-q',
    '-t',
    tag,
    ...flags,
    workspace.context('context', { Dockerfile: dockerfile }),
  ])

describe('tsbuild compare', () => {
  it('names the file that a step makes anew each time, and nothing else', async () => {
    const env = { SOURCE_DATE_EPOCH: '1700000000' }
    const context = workspace.context('context', { Dockerfile: dockerfile })
    for (const tag of ['a:1', 'a:2'])
      await workspace.tsbuild.check(['-q', '--no-cache', '-t', tag, context], { env })
    const { code, stdout } = await workspace.tsbuild.run(['compare', '--format', 'json', 'a:1', 'a:2'])
    expect(code).toBe(1)
    const { same, manifest, config, layers } = JSON.parse(stdout)
    expect({ same, manifest, config }).toEqual({ same: false, manifest: [], config: [] })
    expect(layers).toMatchObject([{ index: 4, createdBy: expect.stringContaining('random/uuid') }])
    expect(layers[0].files).toMatchObject([
      { path: 'd/random', kind: 'changed', fields: [{ name: 'content' }] },
    ])
  })

  it('sees no difference where there is none, and tells how layers are compressed', async () => {
    await build('b:1')
    await build('b:2')
    const same = await workspace.tsbuild.run(['compare', 'b:1', 'b:2'])
    expect([same.code, same.stdout]).toEqual([0, expect.stringContaining('are the same')])
    await build('b:3', '-o', 'type=image,compression=zstd')
    const { code, stdout } = await workspace.tsbuild.run(['compare', 'b:1', 'b:3'])
    expect(code).toBe(1)
    expect(stdout).toContain('layers[4].mediaType: application/vnd.oci.image.layer.v1.tar+gzip → ')
    expect(stdout).not.toContain('layer 4')
  })

  it('compares with an image of a layout, whose layers are zstd, and with one that has fewer layers', async () => {
    const layout = workspace.path('layout')
    await build(
      'c:1',
      '--no-cache',
      '-o',
      `type=oci,tar=false,dest=${layout},compression=zstd,force-compression=true`,
    )
    const { stdout } = await workspace.tsbuild.run(['compare', 'b:1', `oci-layout://${layout}`])
    expect(stdout).toMatch(/changed d\/random\n {4}mtime: .* → .*\n {4}content: sha256:/)
    const base = await workspace.tsbuild.run(['compare', 'b:1', 'busybox:test'])
    expect(base.stdout).toContain('only in the first image')
    expect(base.stdout).toContain('config.Labels')
  })

  it('says which image there is not', async () => {
    const { code, stderr } = await workspace.tsbuild.run(['compare', 'b:1', 'oci-layout:///nonexistent'])
    expect(code).toBe(1)
    expect(stderr).toContain('Cannot use the OCI layout "/nonexistent"')
  })
})
