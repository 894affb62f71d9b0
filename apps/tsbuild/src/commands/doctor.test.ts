import type { Capability } from '@tsbuild/builder'
import { describe, expect, it } from 'vitest'
import { main } from '../main.ts'
import { memoryHost } from '../test-support/memory-host.ts'

describe('main() doctor', () => {
  const overlay = {
    name: 'overlayfs',
    works: true,
    required: true,
    detail: 'mounted in a trial',
    without: 'No step can run.',
    fixes: [],
  }
  const network = {
    name: 'private network',
    works: false,
    required: false,
    detail: 'neither is installed',
    without: 'Steps have the network of this machine.',
    fixes: ['apt-get install passt'],
  }
  const ending = async (...capabilities: readonly Capability[]) => {
    const report = {
      rootless: true,
      kernel: '6.1',
      capabilities,
      cgroups: [],
      network: undefined,
      platforms: [],
    }
    const machine = memoryHost({ builder: { doctor: async () => report }, env: { HOME: '/work dir' } })
    const text = await main(['doctor'], machine)
    const json = memoryHost({ builder: { doctor: async () => report }, env: { HOME: '/work dir' } })
    expect(await main(['doctor', '--format=json'], json)).toBe(text)
    expect(JSON.parse(json.out())).toMatchObject({ capabilities })
    return { code: text, out: machine.out() }
  }

  it('says what is there', async () => {
    expect(await ending(overlay)).toEqual({
      code: 0,
      out: `Kernel 6.1, as an ordinary user

  yes  overlayfs         mounted in a trial

Nothing is missing.
`,
    })
  })

  it('says what is missing, what for and how to mend it', async () => {
    expect(await ending(overlay, network)).toEqual({
      code: 0,
      out: `Kernel 6.1, as an ordinary user

  yes  overlayfs         mounted in a trial
  no   private network   neither is installed
                         Steps have the network of this machine.
                         Fix: apt-get install passt

Builds can run here.
`,
    })
  })

  it('ends with 3 where something required is missing', async () => {
    const { code, out } = await ending({ ...overlay, works: false, fixes: ['modprobe overlay'] }, network)
    expect(code).toBe(3)
    expect(out).toContain('No build can run here without overlayfs.\n')
  })
})
