import { createHash } from 'node:crypto'
import parseExpression from 'spdx-expression-parse'

/** A licence as a document may have it. */
export interface DeclaredLicence {
  /** An expression, `LicenseRef-…`, or `NOASSERTION`. */
  readonly expression: string
  /** The text that a `LicenseRef-…` stands for. */
  readonly extracted?: { readonly licenseId: string; readonly extractedText: string } | undefined
}

/** Longer texts are no names of licences, and reading them as expressions takes long. */
const maxLength = 500

/** Says in SPDX' words what a database has; what is no expression is kept word by word under a name of its own. */
export function declaredLicence(text: string | undefined): DeclaredLicence {
  const licence = text?.trim() ?? ''
  if (licence === '') return { expression: 'NOASSERTION' }
  if (isExpression(licence)) return { expression: licence }
  const hash = createHash('sha256').update(licence).digest('hex').slice(0, 16)
  const licenseId = `LicenseRef-${hash}`
  return { expression: licenseId, extracted: { licenseId, extractedText: licence } }
}

function isExpression(text: string): boolean {
  if (text.length > maxLength || /LicenseRef-|DocumentRef-/.test(text)) return false
  try {
    parseExpression(text)
    return true
  } catch {
    return false
  }
}
