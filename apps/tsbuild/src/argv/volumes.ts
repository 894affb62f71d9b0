import { isIP } from 'node:net'
import { posix, resolve } from 'node:path'
import type { RunImageOptions, Volume } from '@tsbuild/builder'
import { badValue, parseWhole } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'

type Port = NonNullable<RunImageOptions['ports']>[number]

/**
 * Parses a value of `--volume`: `SOURCE:TARGET[:ro|rw]`.
 *
 * @param cwd what a relative source is relative to
 * @throws {UserError} `ERR_USAGE` if it is not of that form; `ERR_UNSUPPORTED` for a named volume
 */
export function parseVolume(text: string, cwd: string): Volume {
  const [source = '', target = '', mode = 'rw', ...more] = text.split(':')
  const wanted = '`SOURCE:TARGET[:ro]`, for example `./data:/data:ro`'
  if (source === '' || target === '' || more.length > 0) throw badValue('--volume', text, wanted)
  if (!target.startsWith('/')) throw badValue('--volume', text, 'an absolute path behind the colon')
  if (mode !== 'ro' && mode !== 'rw') throw badValue('--volume', text, '`ro` or `rw` at the end')
  if (!/[/.~]/.test(source[0] ?? '') && !source.includes('/'))
    throw new UserError(
      'ERR_UNSUPPORTED',
      `Cannot mount volume "${source}": named volumes are not supported`,
      {
        hints: [`A directory of that name is \`./${source}\`.`],
      },
    )
  return { source: resolve(cwd, source), target: posix.normalize(target), readOnly: mode === 'ro' }
}

/**
 * Parses a value of `--publish`: `[ADDRESS:]HOST:INSIDE[/tcp|/udp]`. Without an address only this machine reaches it.
 *
 * @throws {UserError} `ERR_USAGE` if it is not of that form
 */
export function parsePort(text: string): Port {
  const wanted = '`[ADDRESS:]HOST:INSIDE[/udp]`, for example `8080:80`'
  const match = /^(?:(\[[^\]]+\]|[^:[\]]+):)?([^:/]+):([^:/]+)(?:\/(tcp|udp))?$/.exec(text)
  const [, bracketed = '127.0.0.1', host = '', inside = '', protocol = 'tcp'] = match ?? []
  const address = bracketed.replace(/^\[(.*)\]$/, '$1')
  if (match === null || isIP(address) === 0) throw badValue('--publish', text, wanted)
  const number = (port: string) => parseWhole('--publish', port, [1, 65_535])
  return { address, host: number(host), inside: number(inside), protocol: protocol === 'udp' ? 'udp' : 'tcp' }
}

/** Parses a file of `--env-file`: lines of `NAME=value` or `NAME`, with `#` comments. Nothing is unquoted, as by docker. */
export function parseEnvFile(text: string): readonly string[] {
  return text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .map((line) => line.trimStart())
    .filter((line) => line !== '' && !line.startsWith('#'))
}
