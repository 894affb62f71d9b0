import { isDigest } from '@tsbuild/digest'
import { EnvironmentError } from '@tsbuild/errors'
import { familiarName, parseReference } from '@tsbuild/oci'
import { isRecord, parseJson } from '@tsbuild/shape'
import type { Ask } from './connection.ts'

/** One image that an engine has. */
export interface EngineImage {
  readonly id: string
  readonly names: readonly string[]
  /** The digests of the unpacked layers, lowest first. */
  readonly diffIds: readonly string[]
}

/** Images that are looked into at most, and how many at a time. A machine of builds may have thousands. */
const mostImages = 200
const atATime = 4
const idForm = /^(?:sha256:)?[0-9a-f]{64}$/

/**
 * Asks for one image.
 *
 * @param name a name in full form, or an id
 * @returns undefined if the engine has none
 * @throws {EnvironmentError} `ERR_ENGINE_RESPONSE`, `ERR_ENGINE_UNREACHABLE`
 */
export async function askImage(
  ask: Ask,
  name: string,
  signal: AbortSignal | undefined,
): Promise<EngineImage | undefined> {
  const answer = await ask({ method: 'GET', path: `/images/${name}/json`, signal })
  if (answer.status === 404) return undefined
  const image = parseJson(answer.text)
  if (answer.status !== 200 || !isRecord(image) || typeof image.Id !== 'string')
    throw senseless(`an image`, answer.status)
  const layers = isRecord(image.RootFS) ? image.RootFS.Layers : undefined
  // podman leaves the algorithm out in some answers.
  const id = isDigest(image.Id) ? image.Id : `sha256:${image.Id}`
  return { id, names: textsOf(image.RepoTags), diffIds: textsOf(layers) }
}

/**
 * Asks for the stacks of layers that an engine has, as those of its images: of those that are called like the new one, which
 * share most with it, then of the newest.
 *
 * @param names in full form
 * @throws {EnvironmentError} `ERR_ENGINE_RESPONSE`, `ERR_ENGINE_UNREACHABLE`
 */
export async function askStacks(
  ask: Ask,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<readonly (readonly string[])[]> {
  const answer = await ask({ method: 'GET', path: '/images/json', signal })
  const list = parseJson(answer.text)
  if (answer.status !== 200 || !Array.isArray(list)) throw senseless('its images', answer.status)
  // Docker shortens its names, podman does not.
  const own = new Set(names.flatMap((name) => [name, familiarName(parseReference(name))].map(withoutTag)))
  const isNamesake = (tag: string) => own.has(withoutTag(tag))
  const images = list
    .filter(isRecord)
    .flatMap(({ Id: id, Created: created, RepoTags: tags }) => {
      if (typeof id !== 'string' || !idForm.test(id)) return []
      const at = typeof created === 'number' ? created : 0
      return [{ id, at: textsOf(tags).some(isNamesake) ? Number.POSITIVE_INFINITY : at }]
    })
    .sort((a, b) => (a.at === b.at ? 0 : b.at - a.at))
  const stacks: (readonly string[])[] = []
  const entries = images.slice(0, mostImages).values()
  const work = async () => {
    // One that is removed meanwhile has nothing to offer.
    for (const { id } of entries) stacks.push((await askImage(ask, id, signal))?.diffIds ?? [])
  }
  await Promise.all(Array.from({ length: atATime }, work))
  return stacks
}

function withoutTag(name: string): string {
  return name.replace(/:[^/:]*$/, '')
}

function senseless(what: string, status: number): EnvironmentError {
  return new EnvironmentError(
    'ERR_ENGINE_RESPONSE',
    `Cannot ask the engine for ${what}: its answer makes no sense (status ${status})`,
  )
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : []
}
