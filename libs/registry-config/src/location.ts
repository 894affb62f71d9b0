import { parseUrl } from '@tsbuild/shape'
import { type ConfigNode, wrongConfig } from './read-value.ts'

const hostForm = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::\d{1,5})?$/
const pathForm = /^[a-z0-9][a-z0-9._/-]*$/
const suffixForm = /^(.*?)(?::[\w][\w.-]{0,127}|@sha256:[a-f0-9]{64})$/

/** Whether a text is `host` or `host:port`. */
export function isHost(text: string): boolean {
  // The form lets ports be that are none, and addresses.
  return hostForm.test(text) && parseUrl(`https://${text}`) !== undefined
}

/** Checks `host[:port][/path]`. @returns it without slashes at its end @throws {UserError} `ERR_CONFIG` */
export function checkLocation(node: ConfigNode, text: string): string {
  const bare = text.replace(/\/+$/, '')
  const slash = bare.indexOf('/')
  const host = slash < 0 ? bare : bare.slice(0, slash)
  const path = slash < 0 ? undefined : bare.slice(slash + 1)
  if (/^[a-z]+:\/\//i.test(bare)) throw wrongConfig(node, 'begins with a scheme, expected host[:port][/path]')
  if (isHost(host) && (path === undefined || pathForm.test(path))) return bare
  throw wrongConfig(node, `is ${JSON.stringify(text.slice(0, 200))}, expected host[:port][/path]`)
}

/** As {@link checkLocation}, but also `*.host`, and with a tag or a digest at its end. */
export function checkPrefix(node: ConfigNode, text: string): string {
  if (text.startsWith('*.')) {
    if (hostForm.test(text.slice(2)) && !text.includes(':')) return text
    throw wrongConfig(node, `is ${JSON.stringify(text.slice(0, 200))}, expected *.host`)
  }
  const [, name = '', suffix = ''] = text.includes('/') ? splitSuffix(text) : ['', text]
  return `${checkLocation(node, name)}${suffix}`
}

function splitSuffix(text: string): readonly string[] {
  const [, name] = suffixForm.exec(text) ?? []
  return name === undefined || !name.includes('/') ? ['', text] : ['', name, text.slice(name.length)]
}

/** A mirror as a URL. */
export interface MirrorUrl {
  /** `host[:port]`. */
  readonly host: string
  /** Empty, or from the slash on. */
  readonly path: string
  readonly plain: boolean
}

/** Reads `https://host[:port][/path]`. @throws {UserError} `ERR_CONFIG` */
export function readMirrorUrl(node: ConfigNode, text: string): MirrorUrl {
  const url = parseUrl(text)
  const refuse = (why: string) => wrongConfig(node, `is ${JSON.stringify(text.slice(0, 200))}: ${why}`)
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw refuse('expected a URL with https or http')
  }
  // Not shown: whoever writes a password here has it in a message otherwise.
  if (url.username !== '' || url.password !== '')
    throw wrongConfig(node, 'has a user name or a password in it')
  if (!isHost(url.host)) throw refuse('its host is no host name')
  if (url.search !== '' || url.hash !== '') throw refuse('it has a query or a fragment')
  return { host: url.host, path: url.pathname.replace(/\/+$/, ''), plain: url.protocol === 'http:' }
}
