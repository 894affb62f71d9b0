import { readFileSync } from 'node:fs'

/** Set by build.js. */
declare const CACHE_SERVER_VERSION: string | undefined

/** The version of the program, from its package.json. */
export function version(): string {
  if (typeof CACHE_SERVER_VERSION === 'string') return CACHE_SERVER_VERSION
  const manifest: { version: string } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  )
  return manifest.version
}
