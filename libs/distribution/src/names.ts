/** A digest of a kind that is stored. */
export interface ContentDigest {
  readonly algorithm: 'sha256' | 'sha512'
  /** 64 or 128 lowercase digits. */
  readonly hex: string
  /** `algorithm:hex` */
  readonly text: string
}

const digestForm = /^(?:(sha256):([a-f0-9]{64})|(sha512):([a-f0-9]{128}))$/

/** Parses a digest; undefined for another algorithm, and for what is none. */
export function parseContentDigest(text: string): ContentDigest | undefined {
  const [, sha256, short, , long = ''] = digestForm.exec(text) ?? []
  if (sha256 !== undefined) return { algorithm: 'sha256', hex: short as string, text }
  return long === '' ? undefined : { algorithm: 'sha512', hex: long, text }
}

const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const nameForm = new RegExp(`^${component}(?:/${component})*$`)

/** The longest name of a repository, in characters: with it a key of every kind stays below 512. */
const maxNameLength = 255

/**
 * Whether a text is the name of a repository. A component is at most 200 characters long.
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests
 */
export function isRepositoryName(text: string): boolean {
  return text.length <= maxNameLength && nameForm.test(text) && !/[^/]{201}/.test(text)
}

/** Whether a text is a tag: 1 to 128 characters. */
export function isTag(text: string): boolean {
  return /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/.test(text)
}
