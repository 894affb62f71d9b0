import { isIP } from 'node:net'
import { UserError } from '@tsbuild/errors'
import type { ExtraHost } from '@tsbuild/graph'

/** Where a process reaches this machine that has its network. */
const ownAddress = '127.0.0.1'

/**
 * Parses `--add-host` values: `name:ip` or `name=ip`, an IPv6 address with or without brackets. `host-gateway` in place of the
 * address is this machine, which is reached with its own network only: a private one leads everywhere else.
 *
 * @param network of the build
 * @throws {UserError} `ERR_USAGE`
 * @see spec/dockerfile.md 2.2
 */
export function parseExtraHosts(
  values: readonly string[],
  network: 'default' | 'none' | 'host' = 'default',
): readonly ExtraHost[] {
  return values.map((value) => {
    const match = /^([^\s:=]+)[:=](.+)$/.exec(value)
    const [, name = '', address = ''] = match ?? []
    const ip = address.replace(/^\[(.*)\]$/, '$1')
    if (isIP(ip) !== 0) return { name, ip }
    if (ip !== 'host-gateway')
      throw new UserError('ERR_USAGE', `Cannot add host "${value}": expected name:ip`)
    if (network === 'host') return { name, ip: ownAddress }
    throw new UserError('ERR_USAGE', `Cannot add host "${value}": steps do not reach this machine`, {
      hints: [
        'Their network is private. With `--network host` they have that of this machine, and `host-gateway` is it.',
      ],
    })
  })
}
