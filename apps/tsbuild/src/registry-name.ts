import { UserError } from '@tsbuild/errors'

const hub = 'docker.io'

/**
 * Reads the registry that a command is about as people write it: a host with an optional port, also as a URL; the Hub where nothing
 * is written, or one of its other names.
 *
 * @throws {UserError} `ERR_USAGE` if it is no host
 */
export function parseRegistryName(text: string | undefined): string {
  if (text === undefined) return hub
  const bare = text.replace(/^https?:\/\//i, '').replace(/\/(?:v[12]\/?)?$/, '')
  const host = /^(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::\d{1,5})?$/
  if (!host.test(bare)) {
    throw new UserError(
      'ERR_USAGE',
      `Cannot use registry ${JSON.stringify(text.slice(0, 200))}: expected host[:port]`,
    )
  }
  return bare === 'index.docker.io' || bare === 'registry-1.docker.io' ? hub : bare
}
