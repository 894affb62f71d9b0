import { EnvironmentError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { trySession } from './index.ts'
import { cgroups, type FakeBehaviour, fakeNative } from './testing/fake-native.ts'

const trial = async (behaviour: FakeBehaviour) => {
  const { native, sessions } = fakeNative(behaviour)
  const found = await trySession(native, () => 'x')
  expect(sessions.every(({ ends }) => ends === 1)).toBe(true)
  return found
}
const failing = (code: 'ERR_TOOL_MISSING' | 'ERR_NETWORK', ...tools: readonly string[]): FakeBehaviour => ({
  disconnect: ({ network }) =>
    tools.includes(String(network?.tool)) ? new EnvironmentError(code, `${network?.tool} fails`) : undefined,
})

describe('trySession()', () => {
  it('trySession() gives the first tool that works, and ends what it made', async () => {
    expect(await trial({})).toEqual({ cgroups, tool: 'pasta', reasons: [] })
    expect(await trial(failing('ERR_TOOL_MISSING', 'pasta'))).toEqual({
      cgroups,
      tool: 'slirp4netns',
      reasons: [],
    })
  })

  it('trySession() tells a tool that is missing from one that fails', async () => {
    const missing = await trial(failing('ERR_TOOL_MISSING', 'pasta', 'slirp4netns'))
    expect(missing).toEqual({ cgroups, tool: undefined, reasons: [] })
    const broken = await trial(failing('ERR_NETWORK', 'pasta', 'slirp4netns'))
    expect(broken.reasons).toEqual(['pasta fails', 'slirp4netns fails'])
  })

  it('trySession() gives no cgroups where no session can be made', async () => {
    const denied = new EnvironmentError('ERR_NAMESPACE_DENIED', 'unshare: EPERM')
    expect(await trial({ refuse: () => denied })).toMatchObject({ cgroups: [], tool: undefined })
  })
})
