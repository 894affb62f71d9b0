import { readFileSync } from 'node:fs'
import { parseReference } from '@tsbuild/oci'
import { describe, expect, it } from 'vitest'
import { publicHalf, readSigningKey, readVerifyingKey } from './keys.ts'
import { type CosignFixture, placeOf } from './testing/index.ts'
import { verifyAttestation } from './verify-attestation.ts'
import { verifyImage } from './verify-image.ts'

const fixture: CosignFixture = JSON.parse(
  readFileSync(new URL('../testdata/cosign-2.4.1.json', import.meta.url), 'utf8'),
)
const place = placeOf(fixture)
const image = parseReference(`${fixture.repository}@${fixture.digest}`)
const keyOf = (name: string) => readVerifyingKey(fixture.keys[`${name}.pub`] ?? '', name)

describe('what cosign 2.4.1 made', () => {
  it.each([
    ['cosign', { team: 'build', stage: 'test' }],
    ['ed', {}],
    ['rsa', {}],
  ])('is verified with its key "%s"', async (name, annotations) => {
    const { signatures } = await verifyImage(place, image, { key: keyOf(name) })
    expect(signatures[0]).toEqual({ identity: fixture.repository, annotations })
  })

  it('is found as a referrer too', async () => {
    const annotations = { from: 'referrer' }
    const { signatures } = await verifyImage(place, image, { key: keyOf('cosign'), annotations })
    expect(signatures).toEqual([{ identity: fixture.repository, annotations }])
  })

  it.each(['cosign', 'ed', 'rsa'])('is a private key "%s" that fits its public one', async (name) => {
    const key = await readSigningKey(fixture.keys[`${name}.key`] ?? '', name, async () => 'pw')
    expect(publicHalf(key).key.equals(keyOf(name).key)).toBe(true)
  })

  it('is an attestation', async () => {
    const wanted = { key: keyOf('cosign'), predicateType: 'https://spdx.dev/Document' }
    const { attestations } = await verifyAttestation(place, image, wanted)
    expect(attestations).toEqual([
      { predicateType: 'https://spdx.dev/Document', predicate: { spdxVersion: 'SPDX-2.3', name: 'fixture' } },
    ])
    await expect(verifyAttestation(place, image, { ...wanted, key: keyOf('rsa') })).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_INVALID',
    })
  })
})
