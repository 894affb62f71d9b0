import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import { type SignIn, signInChallenge } from '@tsbuild/distribution'
import { basicChallenge } from '@tsbuild/http-server'
import { parseUrl } from '@tsbuild/shape'
import { mintToken, parseScope, publicGrant } from '@tsbuild/trust'
import type { Settings } from '../settings/read-settings.ts'
import { tokenParties } from '../tokens/claims.ts'
import type { LiveTrust } from './live-trust.ts'

/** Of a token for everybody: clients ask for another one when it ends. Seconds. */
const anonymousTtl = 300

/** What somebody may do who shows no token to a server that everybody may read from. */
export function readerGrant({ publicReadScopes }: Settings) {
  return publicGrant(publicReadScopes.map(parseScope), ['**'])
}

/** How clients of a server that everybody may read from come to show their tokens; undefined where nobody may without one. */
export function signInOf(settings: Settings, trust: LiveTrust, now: () => number): SignIn | undefined {
  if (settings.publicRead !== true || settings.auth !== 'tokens') return undefined
  const { subject, read, write, operations, repositories, id } = readerGrant(settings)
  const claims = { ...tokenParties, subject, read, write, operations, repositories, ttl: anonymousTtl, id }
  return {
    now,
    anonymousToken: async () => ({
      token: await mintToken(trust.signingKey(), { ...claims, account: id }, now()),
      ttl: anonymousTtl,
    }),
  }
}

/** What clients are asked for, where they are sent elsewhere for it. */
export function challengesOf(settings: Settings): (request: IncomingMessage) => readonly string[] {
  return (request) => {
    const url = urlOf(settings, request)
    return [url === undefined ? basicChallenge : signInChallenge(url)]
  }
}

/** How this client calls the server; undefined for a name that makes no sense. */
function urlOf({ publicUrl, basePath }: Settings, { headers, socket }: IncomingMessage): string | undefined {
  const scheme = socket instanceof TLSSocket ? 'https' : 'http'
  const url = parseUrl(publicUrl ?? `${scheme}://${headers.host ?? ''}`)
  if (url === undefined || !/^[\w.:[\]-]+$/.test(url.host)) return undefined
  return url.pathname === '/' ? `${url.origin}${basePath}` : `${url.origin}${url.pathname.replace(/\/$/, '')}`
}
