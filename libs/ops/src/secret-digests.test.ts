import { digestBytes } from '@tsbuild/digest'
import type { BuildEvent } from '@tsbuild/events'
import type { ExecOp, Graph } from '@tsbuild/graph'
import type { CacheRecord } from '@tsbuild/solver'
import { describe, expect, it } from 'vitest'
import type { SecretMount } from './exec-secrets.ts'
import { digestSecrets, secretsAbout, warnOfChangedSecrets } from './secret-digests.ts'

const mount: SecretMount = {
  kind: 'secret',
  id: 'token',
  target: '/run/secrets/token',
  env: undefined,
  required: false,
  mode: 0o400,
  uid: 0,
  gid: 0,
}

const stepWith = (...mounts: readonly SecretMount[]) => ({ kind: 'exec', mounts }) as unknown as ExecOp

function vertexOf(op: ExecOp): Graph['vertices'][number] {
  const source = { file: 'Dockerfile', startLine: 2, startColumn: 0, endLine: 2, endColumn: 1 }
  return { digest: digestBytes('v'), op, inputs: [], name: 'RUN', source, ignoreCache: false }
}

const graphOf = (...ops: readonly ExecOp[]): Graph => ({ vertices: ops.map(vertexOf), target: undefined })
const keyed = (byte: number) => async () => new Uint8Array(32).fill(byte)

describe('digestSecrets()', () => {
  it('digestSecrets() asks for each mounted secret once, and for the key only where one was given', async () => {
    const asked: string[] = []
    const secrets = async (id: string) => {
      asked.push(id)
      return id === 'given' ? Buffer.from('value') : undefined
    }
    const graph = graphOf(
      stepWith(mount, { ...mount, id: 'given' }),
      stepWith({ ...mount, id: 'given' }, { ...mount, target: '/x' }),
    )
    const digests = await digestSecrets(graph, { secrets }, keyed(1))
    expect(asked).toEqual(['token', 'given'])
    expect([...digests.keys()]).toEqual(['given'])
    const unasked = () => Promise.reject(new Error('not asked'))
    expect((await digestSecrets(graphOf(stepWith(mount)), { secrets }, unasked)).size).toBe(0)
  })

  it('digestSecrets() tells values and stores apart, and holds no value', async () => {
    const digestOf = async (value: string, key: number) =>
      (
        await digestSecrets(graphOf(stepWith(mount)), { secrets: async () => Buffer.from(value) }, keyed(key))
      ).get('token')
    expect(await digestOf('value', 1)).toBe(
      'hmac-sha256:19af0502a5e6a06de3b61d06129b74d715e781d17a703f9790113f7c9e6ff12a',
    )
    const all = [
      await digestOf('value', 1),
      await digestOf('other', 1),
      await digestOf('value', 2),
      await digestOf('', 1),
    ]
    expect(new Set(all).size).toBe(4)
    expect(await digestOf('value', 1)).not.toContain(digestBytes('value').slice(7))
  })

  it('digestSecrets() fails with a secret that cannot be read only where its content counts', async () => {
    const secrets = () => Promise.reject(new Error('no such file'))
    expect((await digestSecrets(graphOf(stepWith(mount)), { secrets }, keyed(1))).size).toBe(0)
    const counted = graphOf(stepWith(mount), stepWith({ ...mount, countsContent: true }))
    await expect(digestSecrets(counted, { secrets }, keyed(1))).rejects.toThrow('no such file')
  })
})

describe('warnOfChangedSecrets()', () => {
  const warnings = (then: unknown, now: Readonly<Record<string, string>>) => {
    const events: BuildEvent[] = []
    const op = stepWith(mount, { ...mount, target: '/again' })
    const record = { about: then } as CacheRecord
    const context = {
      vertex: vertexOf(op),
      signal: new AbortController().signal,
      events: (event: BuildEvent) => void events.push(event),
    }
    warnOfChangedSecrets(op, record, context, { secretDigests: new Map(Object.entries(now)), now: () => 7 })
    return events
  }

  it('warnOfChangedSecrets() warns once of a secret with another value', () => {
    expect(warnings({ secrets: { token: 'a' } }, { token: 'b' })).toEqual([
      {
        type: 'warning',
        rule: 'SecretChanged',
        message: expect.stringContaining('although secret "token" has another value than when it ran'),
        source: expect.objectContaining({ startLine: 2 }),
        at: 7,
      },
    ])
  })

  it.each<[string, unknown, Readonly<Record<string, string>>]>([
    ['the same value', { secrets: { token: 'a' } }, { token: 'a' }],
    ['a secret that was not given now', { secrets: { token: 'a' } }, {}],
    ['a secret that was not given then', { secrets: {} }, { token: 'a' }],
    ['another secret', { secrets: { other: 'a' } }, { token: 'b', other: 'b' }],
    ['a record of before', undefined, { token: 'a' }],
    ['a damaged record', { secrets: { token: 1 } }, { token: 'a' }],
    ['a record of something else', { secrets: 'token' }, { token: 'a' }],
  ])('warnOfChangedSecrets() says nothing of %s', (_, then, now) => {
    expect(warnings(then, now)).toEqual([])
  })

  it('secretsAbout() has the digests of what is mounted and given', () => {
    const digests = () =>
      new Map([
        ['token', 'a'],
        ['other', 'b'],
      ])
    expect(secretsAbout(stepWith(mount, { ...mount, id: 'absent' }), digests)).toEqual({ token: 'a' })
    expect(
      secretsAbout(stepWith(), () => {
        throw new Error('not asked')
      }),
    ).toBeUndefined()
  })
})
