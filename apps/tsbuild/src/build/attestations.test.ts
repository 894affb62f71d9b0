import { describe, expect, it } from 'vitest'
import { type AttestationFlags, parseAttestations } from './attestations.ts'

const defaults = {
  mode: undefined,
  version: undefined,
  builderId: undefined,
  filename: undefined,
  inlineOnly: undefined,
  reproducible: undefined,
}

describe('parseAttestations()', () => {
  it.each([
    [{}, undefined],
    [{ provenance: ['false'], sbom: ['0'] }, undefined],
    [{ provenance: [''] }, undefined],
    [{ provenance: ['disabled=true'] }, undefined],
    [{ attest: ['type=provenance,disabled=true'] }, undefined],
    [{ provenance: ['true'] }, { provenance: defaults }],
    [{ provenance: ['mode=max', 'mode=min'] }, { provenance: { ...defaults, mode: 'min' } }],
    [{ provenance: ['mode=full'] }, { provenance: { ...defaults, mode: 'max' } }],
    [{ sbom: ['true'] }, { sbom: { generator: undefined } }],
    [{ attest: ['type=sbom,generator=scan:1'] }, { sbom: { generator: 'scan:1' } }],
    [
      {
        attest: [
          'type=provenance,version=v0.2,builder-id=https://ci.test/1,filename=p.json,inline-only=1,Reproducible=t',
          'type=sbom',
        ],
      },
      {
        provenance: {
          mode: undefined,
          version: 'v0.2',
          builderId: 'https://ci.test/1',
          filename: 'p.json',
          inlineOnly: true,
          reproducible: true,
        },
        sbom: { generator: undefined },
      },
    ],
  ] satisfies [AttestationFlags, unknown][])('parseAttestations() reads %j', (flags, expected) => {
    expect(parseAttestations(flags)).toEqual(expected)
  })

  it.each([
    [{ attest: ['provenance'] }, /expected `name=value` in the place of "provenance"/],
    [{ attest: ['mode=max'] }, /expected `type=provenance` or `type=sbom`/],
    [{ attest: ['type=vex'] }, /expected `type=provenance` or `type=sbom`/],
    [{ attest: ['type=sbom', 'type=sbom'] }, /asked for twice/],
    [{ attest: ['type=sbom'], sbom: ['true'] }, /asked for twice/],
    [{ provenance: ['mode=most'] }, /mode is "most", expected min or max/],
    [{ provenance: ['version=v2'] }, /version is "v2", expected v1 or v0.2/],
    [{ provenance: ['reproducible=perhaps'] }, /expected true or false/],
    [{ provenance: ['modus=max'] }, /there is no attribute "modus"/],
    [{ provenance: ['filename=../x'] }, /no name of a file/],
    [{ provenance: ['.'] }, /expected `name=value` in the place of "."/],
    [{ sbom: ['generator='] }, /has no name/],
    [{ sbom: ['scan=1'] }, /there is no attribute "scan"/],
  ] satisfies [AttestationFlags, RegExp][])(
    'parseAttestations() throws ERR_USAGE for %j',
    (flags, message) => {
      expect(() => parseAttestations(flags)).toThrow(
        expect.objectContaining({ code: 'ERR_USAGE', message: expect.stringMatching(message) }),
      )
    },
  )

  it('parseAttestations() hints how to write a flag without a value', () => {
    expect(() => parseAttestations({ provenance: ['.'] })).toThrow(
      expect.objectContaining({ hints: ['Write `--provenance=true` for the defaults.'] }),
    )
  })
})
