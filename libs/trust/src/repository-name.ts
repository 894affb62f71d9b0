/**
 * The longest name of a repository: clients refuse more than 255 characters of host and name together.
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
 */
export const maxRepositoryLength = 220

/** Where the repositories of scopes are; no image of anybody else is below it. */
export const scopesRoot = 'cache'

/** As `repositoryOfScope`, of a text that may be no scope. */
export function encodeRepositoryName(text: string): string {
  let name = `${scopesRoot}/`
  let isAfterLetter = false
  const characters = [...text]
  for (const [index, character] of characters.entries()) {
    const isBetween = isAfterLetter && /^[^/:._-]$/su.test(characters[index + 1] ?? '/')
    const encoded = encodeCharacter(character, isBetween)
    name += encoded
    isAfterLetter = /[a-z0-9]$/.test(encoded)
  }
  return name
}

/** The reverse; undefined for what cannot have been made so. The caller sees whether it could be made differently. */
export function decodeRepositoryName(name: string): string | undefined {
  if (name.length > maxRepositoryLength || !name.startsWith(`${scopesRoot}/`)) return undefined
  const bytes: number[] = []
  const parts = name
    .slice(scopesRoot.length + 1)
    .matchAll(/__|z([a-z])|z0([89a-f][0-9a-f])|z([2-7][0-9a-f])|[a-y0-9/._-]|(.)/gsu)
  for (const [whole, capital, high, low, stray] of parts) {
    if (stray !== undefined) return undefined
    const hex = high ?? low
    if (hex !== undefined) bytes.push(Number.parseInt(hex, 16))
    else bytes.push(...Buffer.from(capital?.toUpperCase() ?? (whole === '__' ? ':' : whole)))
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes))
  } catch {
    return undefined
  }
}

function encodeCharacter(character: string, isBetween: boolean): string {
  if (/^[a-y0-9/]$/.test(character) || (isBetween && /^[._-]$/.test(character))) return character
  if (character === ':') return '__'
  if (/^[A-Z]$/.test(character)) return `z${character.toLowerCase()}`
  return [...Buffer.from(character)]
    .map((byte) => `${byte < 0x80 ? 'z' : 'z0'}${byte.toString(16).padStart(2, '0')}`)
    .join('')
}
