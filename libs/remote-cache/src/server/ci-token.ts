import { EnvironmentError } from '@tsbuild/errors'
import { type Transport, userAgent } from '@tsbuild/http'
import { isRecord, parseJson, parseUrl } from '@tsbuild/shape'
import type { CiIdentity } from '../types.ts'

/** An identity token of GitHub has some 2 KiB. */
const maxBytes = 64 * 1024
/** GitHub may take longer than a cache-server. */
const patienceMs = 8000

/**
 * What a CI job proves itself with. GitHub is asked for it; GitLab put it into the job.
 *
 * @param audience whom it is for: the URL of the cache-server without a `/` at its end
 * @throws {EnvironmentError} `ERR_CACHE_SERVER`
 * @see https://docs.github.com/en/actions/reference/security/oidc
 */
export async function identityToken(
  identity: CiIdentity,
  audience: string,
  transport: Transport,
  signal: AbortSignal,
): Promise<string> {
  if (identity.provider === 'gitlab') return identity.idToken
  const url = parseUrl(identity.requestUrl)
  if (url === undefined) throw refused('ACTIONS_ID_TOKEN_REQUEST_URL is no URL')
  url.searchParams.set('audience', audience)
  const headers = {
    accept: 'application/json',
    authorization: `Bearer ${identity.requestToken}`,
    'user-agent': userAgent,
  }
  const asked = { method: 'GET', url, headers, insecure: false, foreign: false, signal, patienceMs } as const
  const response = await transport.send(asked).catch((cause: unknown) => {
    throw refused('GitHub does not answer', cause)
  })
  const parts: Buffer[] = []
  let length = 0
  for await (const part of response.body) {
    length += part.length
    if (length > maxBytes) throw refused('the answer is too long')
    parts.push(part)
  }
  const value = response.status === 200 ? parseJson(Buffer.concat(parts).toString('utf8')) : undefined
  if (isRecord(value) && typeof value.value === 'string' && value.value !== '') return value.value
  throw refused(`GitHub answers ${response.status}`)
}

function refused(why: string, cause?: unknown): EnvironmentError {
  return new EnvironmentError('ERR_CACHE_SERVER', `Cannot prove who this CI job is: ${why}`, {
    cause,
    hints: ['The job needs `permissions: id-token: write`.'],
  })
}
