import { digestBytes, parseDiffId } from '@tsbuild/digest'
import { mediaTypes } from '@tsbuild/oci'
import { parseScope } from '@tsbuild/trust'
import { describe, expect, it } from 'vitest'
import { payloadsOf } from './step-payload.ts'

const canary = 'correct-horse-canary'
const key = digestBytes('key')
const layer = {
  mediaType: mediaTypes.ociLayerGzip,
  digest: digestBytes('layer'),
  size: 5,
  diffId: parseDiffId(digestBytes('tar')),
  form: undefined,
}
const record = {
  outputKey: digestBytes('output'),
  name: '[build 2/3] RUN make',
  op: { kind: 'exec.v4', args: ['make', canary], env: [`TOKEN=${canary}`], platform: 'linux/amd64' },
  inputs: [
    { kind: 'result', key: digestBytes('base') },
    { kind: 'content', digest: digestBytes('files'), preimage: { list: canary } },
    { kind: 'source', key: { kind: 'image', manifest: canary } },
  ],
  inputNames: ['[build 1/3] FROM base', 'context', 'image'],
  about: { argNames: ['TOKEN'], secrets: { token: canary }, build: { context: canary, dockerfile: canary } },
  stored: { snapshot: canary, createdAt: 1 },
  createdAt: 5_000,
  durationMs: 7,
} as const

describe('payloadsOf()', () => {
  const payloads = payloadsOf(
    { keys: [key], record, layer: [layer] },
    parseScope('acme/app:ref/main'),
    'tsbuild/0',
  )

  it('SEC-06: sends nothing of what a step was made of, its environment, secrets and paths', () => {
    expect(payloads).toHaveLength(1)
    expect(JSON.stringify(payloads)).not.toContain(canary)
  })

  it('SEC-06: has these members and no others', () => {
    const [payload] = payloads
    expect(Object.keys(payload ?? {}).sort()).toEqual(
      ['identity', 'inputs', 'key', 'producer', 'result', 'scope', 'v'].sort(),
    )
    expect(Object.keys(payload?.result ?? {}).sort()).toEqual(
      ['createdAt', 'durationMs', 'keys', 'layer', 'name', 'outputKey'].sort(),
    )
    expect(payload?.inputs.map(({ id }) => id)).toEqual(
      expect.arrayContaining([digestBytes('base'), digestBytes('files')]),
    )
  })
})
