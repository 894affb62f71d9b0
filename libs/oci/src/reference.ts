import { isDigest } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import type { ImageReference } from './types.ts'

const hub = 'docker.io'
const legacyHub = 'index.docker.io'
const maxRepositoryLength = 255

const tagForm = /^\w[\w.-]{0,127}$/
const pathComponent = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/
const hostForm =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/
const bareImageId = /^[a-f0-9]{64}$/

/**
 * Parses an image reference as users write it and puts it into full form after Docker's rules: `debian` means
 * `docker.io/library/debian`. A missing tag stays missing, see {@link withDefaultTag}.
 *
 * @param text for example `debian:bookworm`, `localhost:5000/app`, `ghcr.io/a/b:1@sha256:…`
 * @throws {UserError} `ERR_REFERENCE_INVALID` with the rule that is broken
 * @see https://github.com/distribution/reference, the grammar at the head of `reference.go`
 */
export function parseReference(text: string): ImageReference {
  const fail = (rule: string): never => {
    const shown = text.length > 300 ? `${text.slice(0, 300)}…` : text
    throw new UserError(
      'ERR_REFERENCE_INVALID',
      `Cannot parse image reference ${JSON.stringify(shown)}: ${rule}`,
    )
  }
  if (text === '') return fail('it is empty')
  if (bareImageId.test(text)) return fail('64 hex digits are an image id, not a name; write name@sha256:…')
  const at = text.indexOf('@')
  const digest = at < 0 ? undefined : text.slice(at + 1)
  if (digest !== undefined && !isDigest(digest))
    return fail('after @ there must be sha256: and 64 lowercase hex digits')
  const named = at < 0 ? text : text.slice(0, at)
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1)
  const tag = colon < 0 ? undefined : named.slice(colon + 1)
  if (tag !== undefined && !tagForm.test(tag)) {
    return fail('a tag has 1 to 128 letters, digits, "_", "." and "-", and does not begin with "." or "-"')
  }
  const { registry, repository } = splitName(colon < 0 ? named : named.slice(0, colon))
  if (!hostForm.test(registry)) return fail(`${JSON.stringify(registry)} is no host name`)
  const broken = repositoryFault(repository)
  if (broken !== undefined) return fail(broken)
  return {
    registry,
    repository,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  }
}

/** Adds the tag `latest` to a reference that has neither a tag nor a digest. */
export function withDefaultTag(reference: ImageReference): ImageReference {
  if (reference.tag !== undefined || reference.digest !== undefined) return reference
  return { ...reference, tag: 'latest' }
}

/** The full form, for example `docker.io/library/debian:bookworm`. The inverse of {@link parseReference}. */
export function formatReference(reference: ImageReference): string {
  return `${reference.registry}/${reference.repository}${versionOf(reference)}`
}

/** The form that users write and read, for example `debian:bookworm`. Parses to the same reference. */
export function familiarName(reference: ImageReference): string {
  const { registry, repository } = reference
  if (registry !== hub) return formatReference(reference)
  const official = repository.startsWith('library/') && repository.indexOf('/', 8) < 0
  return `${official ? repository.slice(8) : repository}${versionOf(reference)}`
}

function versionOf(reference: ImageReference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`
  return reference.digest === undefined ? tag : `${tag}@${reference.digest}`
}

/** The first component is a host only if it cannot be a user's name on the Hub: a dot, a port, `localhost`, a capital. */
function splitName(name: string): { registry: string; repository: string } {
  const slash = name.indexOf('/')
  const first = slash < 0 ? '' : name.slice(0, slash)
  const isHost = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase()
  const written = isHost ? first : hub
  const registry = written === legacyHub ? hub : written
  const rest = isHost ? name.slice(slash + 1) : name
  return { registry, repository: registry === hub && !rest.includes('/') ? `library/${rest}` : rest }
}

function repositoryFault(repository: string): string | undefined {
  if (repository.length > maxRepositoryLength)
    return `the repository is longer than ${maxRepositoryLength} characters`
  if (repository !== repository.toLowerCase()) return 'a repository must be lowercase'
  for (const component of repository.split('/')) {
    if (component === '') return 'a path component of the repository is empty'
    if (!pathComponent.test(component)) {
      return `${JSON.stringify(component)} must be lowercase letters and digits, joined by ".", "_", "__" or "-"`
    }
  }
  return undefined
}
