import { didYouMean, UserError } from '@tsbuild/errors'
import { parseUrl } from '@tsbuild/shape'

/** cosign's short names. */
const predicateTypes: ReadonlyMap<string, string> = new Map([
  ['slsaprovenance', 'https://slsa.dev/provenance/v0.2'],
  ['slsaprovenance02', 'https://slsa.dev/provenance/v0.2'],
  ['slsaprovenance1', 'https://slsa.dev/provenance/v1'],
  ['spdx', 'https://spdx.dev/Document'],
  ['spdxjson', 'https://spdx.dev/Document'],
  ['cyclonedx', 'https://cyclonedx.org/bom'],
  ['link', 'https://in-toto.io/Link/v1'],
  ['vuln', 'https://cosign.sigstore.dev/attestation/vuln/v1'],
  ['openvex', 'https://openvex.dev/ns'],
  ['custom', 'https://cosign.sigstore.dev/attestation/v1'],
])

/** The predicate type of one of cosign's short names; a URI means itself. @throws {UserError} `ERR_USAGE` */
export function predicateTypeOf(name: string): string {
  const known = predicateTypes.get(name)
  if (known !== undefined) return known
  if (parseUrl(name) !== undefined) return name
  const names = [...predicateTypes.keys()]
  const guess = didYouMean(name, names)
  throw new UserError('ERR_USAGE', `Cannot use predicate type "${name}": expected a URI or a short name`, {
    hints: guess.length > 0 ? guess : [`There are ${names.join(', ')}.`],
  })
}
