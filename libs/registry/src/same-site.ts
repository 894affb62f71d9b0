import { isIP } from 'node:net'
import { isLoopbackHost, withoutBrackets } from '@tsbuild/http'

/** Second-level names below which anybody registers domains, under two-letter top-level domains. */
const registrySecondLevel = new Set(['ac', 'co', 'com', 'edu', 'go', 'gob', 'gov', 'ne', 'net', 'or', 'org'])

/** Domains that give each customer a name of their own: neighbours there are strangers. */
const sharedDomains = [
  'amazonaws.com',
  'azurecr.io',
  'azurewebsites.net',
  'cloudapp.azure.com',
  'cloudfront.net',
  'fly.dev',
  'github.io',
  'gitlab.io',
  'herokuapp.com',
  'jfrog.io',
  'netlify.app',
  'nip.io',
  'on.aws',
  'pages.dev',
  'run.app',
  'sslip.io',
  'vercel.app',
  'web.app',
  'windows.net',
  'workers.dev',
]

/**
 * Whether two hosts belong to one owner, so that one's credentials may be shown to the other: the same host, both this
 * machine, or the same registrable domain. The list of public suffixes is approximated; doubt counts as no.
 *
 * @see https://publicsuffix.org/
 */
export function isSameSite(a: string, b: string): boolean {
  const [first, second] = [withoutBrackets(a).toLowerCase(), withoutBrackets(b).toLowerCase()]
  if (first === second) return true
  if (isLoopbackHost(first) && isLoopbackHost(second)) return true
  const site = siteOf(first)
  return site !== undefined && site === siteOf(second)
}

/** The registrable domain; undefined for addresses, names without a dot and public suffixes. */
function siteOf(hostname: string): string | undefined {
  if (isIP(hostname) !== 0) return undefined
  const labels = hostname.replace(/\.$/, '').split('.')
  const shared = sharedDomains.find((domain) => hostname === domain || hostname.endsWith(`.${domain}`))
  const last = labels.at(-1) ?? ''
  const twoPart = last.length === 2 && registrySecondLevel.has(labels.at(-2) ?? '')
  const suffixLength = shared !== undefined ? shared.split('.').length : twoPart ? 2 : 1
  return labels.length > suffixLength ? labels.slice(-suffixLength - 1).join('.') : undefined
}
