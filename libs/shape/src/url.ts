/**
 * Reads a URL; undefined for what is none. Not `URL.canParse`: once optimised, that of Node.js 20 takes the Latin-1 bytes of a text
 * for UTF-8, and knows `http://bücher.example` no more.
 */
export function parseUrl(text: string, base?: string): URL | undefined {
  try {
    return new URL(text, base)
  } catch {
    return undefined
  }
}
