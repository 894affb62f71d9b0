import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { checkOutputs } from './check-outputs.ts'
import type { OutputSpec } from './output-types.ts'
import type { BuildOptions } from './types.ts'

let cwd: string
beforeEach(() => {
  cwd = realpathSync(mkdtempSync(join(tmpdir(), 'outputs-check-')))
  const folder = cwd
  onTestFinished(() => rmSync(folder, { recursive: true }))
  for (const name of ['context', 'store', 'out']) mkdirSync(join(cwd, name))
  symlinkSync('out', join(cwd, 'link'))
  writeFileSync(join(cwd, 'file'), '')
})

const check = (outputs: readonly OutputSpec[], others: Partial<BuildOptions> = {}) =>
  checkOutputs({ context: 'context', cwd, outputs, ...others }, join(cwd, 'store'))
const oci = (dest: string): OutputSpec => ({ type: 'oci', dest })
const local = (dest: string): OutputSpec => ({ type: 'local', dest })
const mirror = (dest: string): OutputSpec => ({ type: 'local', dest, mode: 'delete' })

describe('checkOutputs()', () => {
  it.each([
    [[oci('a.tar'), oci('./b.tar'), local('out'), local('out/below')]],
    [[oci('out/new.tar'), local('out')]],
    [[oci('/dev/null'), oci('/dev/null')]],
    [[{ type: 'image' }, { type: 'image' }, { type: 'registry', names: ['a'] }]],
  ] as readonly [readonly OutputSpec[]][])('takes %j', async (outputs) => {
    await expect(check(outputs)).resolves.toBeUndefined()
  })

  it.each([
    [[oci('a.tar'), oci('./out/../a.tar')]],
    [[oci('out/a.tar'), { type: 'tar', dest: 'link/a.tar' }]],
    [[local('out'), local('link')]],
    [[local('new/dir'), { type: 'oci', tar: false, dest: 'new/dir/' }]],
  ] as readonly [readonly OutputSpec[]][])('refuses two outputs to one place: %j', async (outputs) => {
    mkdirSync(join(cwd, 'new'))
    await expect(check(outputs)).rejects.toMatchObject({
      code: 'ERR_USAGE',
      message: expect.stringContaining('to one place'),
    })
  })

  it.each([
    [oci('out'), 'ERR_OUTPUT'],
    [oci('nowhere/a.tar'), 'ERR_OUTPUT'],
    [local('file'), 'ERR_OUTPUT'],
    [{ type: 'oci', tar: false, dest: 'file' }, 'ERR_OUTPUT'],
    [{ type: 'image', names: ['Upper'] }, 'ERR_USAGE'],
    [{ type: 'local', dest: 'out', attestationPrefix: 'link/' }, 'ERR_USAGE'],
    [{ type: 'tar', dest: 'a.tar', attestationPrefix: '../' }, 'ERR_USAGE'],
    [{ type: 'image', ociMediaTypes: false, compression: { type: 'zstd' } }, 'ERR_USAGE'],
  ] as readonly [OutputSpec, string][])('refuses %j with %s', async (output, code) => {
    await expect(check([output])).rejects.toMatchObject({ code })
  })

  it('refuses a docker archive of several platforms, and no other output', async () => {
    const platforms = ['linux/amd64', 'linux/arm64']
    await expect(check([oci('a.tar'), local('out')], { platforms })).resolves.toBeUndefined()
    await expect(check([{ type: 'docker', dest: 'a.tar' }], { platforms })).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
    })
  })

  it('refuses annotations where no output is an image', async () => {
    const annotations = [{ level: 'manifest', key: 'a', value: 'b' }] as const
    await expect(check([oci('a.tar')], { annotations })).resolves.toBeUndefined()
    await expect(check([local('out')], { annotations })).rejects.toMatchObject({ code: 'ERR_USAGE' })
  })

  it('refuses annotations of an index that is not going to be, and leaves it open where something is said about the image', async () => {
    const annotations = [{ level: 'index', key: 'a', value: 'b' }] as const
    await expect(check([oci('a.tar')], { annotations })).rejects.toMatchObject({ code: 'ERR_USAGE' })
    const platforms = ['linux/amd64', 'linux/arm64']
    await expect(check([oci('a.tar')], { annotations, platforms })).resolves.toBeUndefined()
    const attestations = { sbom: {} }
    await expect(check([oci('a.tar')], { annotations, attestations })).resolves.toBeUndefined()
  })

  it.each(['context', '.', '/', 'store', 'out/../context'])(
    'never lets %j be emptied, which holds what the build needs',
    async (dest) => {
      await expect(check([mirror(dest)], { allowOutputs: ['buildx.local.delete'] })).rejects.toMatchObject({
        code: 'ERR_USAGE',
      })
    },
  )

  it('never lets a directory be emptied that holds a context with a name', async () => {
    const allowed = { allowOutputs: ['buildx.local.delete'] } as const
    const others = { ...allowed, buildContexts: { lib: 'out/below' } }
    await expect(check([mirror('out')], others)).rejects.toMatchObject({ code: 'ERR_USAGE' })
    await expect(check([mirror('new')], others)).resolves.toBeUndefined()
  })

  it('lets a directory be emptied where that is allowed', async () => {
    await expect(check([mirror('out')])).rejects.toMatchObject({ code: 'ERR_ENTITLEMENT' })
    const allowOutputs = ['buildx.local.delete'] as const
    await expect(check([mirror('out')], { allowOutputs })).resolves.toBeUndefined()
    await expect(check([mirror('context/below')], { allowOutputs })).resolves.toBeUndefined()
  })
})
