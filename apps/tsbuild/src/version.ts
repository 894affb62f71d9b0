import { readFileSync } from 'node:fs'

/** Put in by the bundler. */
declare const TSBUILD_VERSION: string | undefined

/** The version of the command. */
export function version(): string {
  if (typeof TSBUILD_VERSION === 'string') return TSBUILD_VERSION
  const manifest: { version: string } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  )
  return manifest.version
}
