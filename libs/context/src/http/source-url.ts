import { UserError } from '@tsbuild/errors'
import { parseUrl } from '@tsbuild/shape'

/** The URL of a source, taken apart. */
export interface SourceUrl {
  /** What is asked for: without user info and fragment. */
  readonly url: URL
  /** `user:password` of the URL, decoded. */
  readonly userInfo: string | undefined
  /** The host without its port, first as it is written, then as it is asked: secrets are named after it. */
  readonly hosts: readonly string[]
  /** For messages: without user info, and without what a query says. */
  readonly shown: string
}

/**
 * Takes the URL of an ADD source or a context apart.
 * @throws {UserError} `ERR_URL_INVALID` if it is none of `http:` or `https:`
 */
export function parseSourceUrl(text: string): SourceUrl {
  const url = parseUrl(text)
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new UserError(
      'ERR_URL_INVALID',
      `Cannot fetch ${JSON.stringify(hideSecrets(text))}: it is no http or https URL`,
    )
  }
  const userInfo =
    url.username === '' && url.password === ''
      ? undefined
      : `${decoded(url.username)}:${decoded(url.password)}`
  url.username = ''
  url.password = ''
  url.hash = ''
  return {
    url,
    userInfo,
    hosts: [...new Set([writtenHost(text) ?? url.hostname, url.hostname].map(withoutPortAndBrackets))],
    shown: showUrl(url),
  }
}

/** A URL for messages: queries often carry signatures and tokens. */
export function showUrl(url: URL): string {
  return `${url.origin}${url.pathname}${url.search === '' ? '' : '?…'}`
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** For texts that are no URL, and may hold a password all the same. */
function hideSecrets(text: string): string {
  return text.replace(/\/\/.*@/s, '//***@').replace(/[?#].*$/s, '?…')
}

function writtenHost(text: string): string | undefined {
  return /^[a-z]+:\/\/(?:[^/?#\\]*@)?(\[[^\]]*\]|[^:/?#\\]*)/i.exec(text)?.[1]
}

function withoutPortAndBrackets(host: string): string {
  return host.replace(/^\[|\]$/g, '')
}
