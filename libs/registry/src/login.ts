import type { Connection } from './connection.ts'
import type { CallOptions, LoginOutcome } from './types.ts'

/** Asks for the front page of a registry; see `RegistryClient.login`. The connection has the credentials to be tried. */
export async function login(
  connection: Connection,
  registry: string,
  options: CallOptions,
): Promise<LoginOutcome> {
  const purpose = { what: `log in to ${registry}`, host: registry }
  return connection.retry(purpose, options.signal, async () => {
    let asked = false
    const response = await connection.exchange({
      registry,
      scopes: [],
      method: 'GET',
      target: '/v2/',
      purpose,
      signal: options.signal,
      onChallenge: () => {
        asked = true
      },
    })
    if (response.status !== 200) throw await connection.failure(response, purpose)
    await response.discard()
    return asked ? 'accepted' : 'unasked'
  })
}
