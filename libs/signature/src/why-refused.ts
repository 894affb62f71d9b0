import { UserError } from '@tsbuild/errors'

/** What became of one signature. */
export type Finding<Value> =
  | { readonly kind: 'valid'; readonly value: Value }
  /** It does not state what is wanted. */
  | { readonly kind: 'claims'; readonly wanted: string }
  /** It is for another image. */
  | { readonly kind: 'subject'; readonly digest: string }
  /** The key did not make it, or not for these bytes. */
  | { readonly kind: 'key' }
  /** It is no signature. */
  | { readonly kind: 'malformed' }

/** The error for an image none of whose signatures fits: it tells of the one that came nearest. */
export function refusal(
  name: string,
  what: 'signature' | 'attestation',
  findings: readonly Finding<unknown>[],
): UserError {
  const shown = `Cannot verify "${name}"`
  const count = findings.length
  for (const finding of findings) {
    if (finding.kind === 'claims')
      return new UserError(
        'ERR_SIGNATURE_CLAIMS',
        `${shown}: no ${what} made with the key states ${JSON.stringify(finding.wanted)}`,
      )
  }
  for (const finding of findings) {
    if (finding.kind === 'subject') {
      return new UserError(
        'ERR_SIGNATURE_SUBJECT',
        `${shown}: the ${what} that was made with the key is for another image, ${JSON.stringify(finding.digest)}`,
        { hints: [`Somebody put the ${what} of another image beside this one.`] },
      )
    }
  }
  const wrong = findings.filter(({ kind }) => kind === 'key').length
  if (wrong > 0) {
    return new UserError(
      'ERR_SIGNATURE_INVALID',
      `${shown}: none of its ${count} ${what}${count === 1 ? '' : 's'} was made with the key for what is there`,
      { hints: ['Either another key signed it, or the signed text was changed afterwards.'] },
    )
  }
  if (count > 0)
    return new UserError(
      'ERR_SIGNATURE_INVALID',
      `${shown}: what is beside it is no ${what} that can be read`,
    )
  return new UserError('ERR_SIGNATURE_MISSING', `${shown}: it has no ${what}`)
}
