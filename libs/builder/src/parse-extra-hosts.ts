import { isIP } from 'node:net'
import { UserError } from '@tsbuild/errors'
import type { ExtraHost } from '@tsbuild/graph'

/**
 * Parses `--add-host` values: `name:ip` or `name=ip`, an IPv6 address with or without brackets.
 *
 * @throws {UserError} `ERR_USAGE`
 * @see spec/dockerfile.md 2.2
 */
export function parseExtraHosts(values: readonly string[]): readonly ExtraHost[] {
  return values.map((value) => {
    const match = /^([^\s:=]+)[:=](.+)$/.exec(value)
    const [, name = '', address = ''] = match ?? []
    const ip = address.replace(/^\[(.*)\]$/, '$1')
    if (isIP(ip) !== 0) return { name, ip }
    const hints = ip === 'host-gateway' ? ['`host-gateway` is not supported yet; give the address.'] : []
    throw new UserError('ERR_USAGE', `Cannot add host "${value}": expected name:ip`, { hints })
  })
}
