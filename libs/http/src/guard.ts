import type { LookupAddress, LookupOptions } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { isInternalAddress, isLoopbackHost, isPrivateAddress, withoutBrackets } from './addresses.ts'

/**
 * Where a host that a server named may be: anywhere, or not on this machine (nor at its metadata service), or not in a private
 * network either.
 */
export type Guard = 'none' | 'machine' | 'private'

/** Thrown when a host that another server named is where that server must not lead us. */
export class InternalAddressError extends Error {
  readonly code = 'ERR_INTERNAL_ADDRESS'
}

/** Says who may lead us where. */
export interface Guards {
  /**
   * The guard of one request.
   *
   * @throws {InternalAddressError} if its host is written as an address that is refused
   */
  of(request: {
    readonly url: URL
    readonly foreign: boolean
    readonly namedBy?: URL | undefined
  }): Promise<Guard>
}

/** Makes guards; where a server is that names others is looked up once. */
export function createGuards(lookup: LookupFunction): Guards {
  const known = new Map<string, Promise<boolean>>()
  const isInside = (host: string): Promise<boolean> => {
    const inside = known.get(host) ?? isInPrivateNetwork(host, lookup)
    known.set(host, inside)
    return inside
  }
  return {
    of: async ({ url, foreign, namedBy }) => {
      if (!foreign) return 'none'
      const guard = namedBy === undefined || (await isInside(namedBy.hostname)) ? 'machine' : 'private'
      const host = withoutBrackets(url.hostname)
      if (isIP(host) !== 0 && isRefused(host, guard)) throw new InternalAddressError(refusal(host))
      return guard
    },
  }
}

/** Looks a name up once, and lets the connection go to the checked addresses only. */
export function guardedLookup(base: LookupFunction, guard: Guard): LookupFunction {
  if (guard === 'none') return base
  return (hostname, options, callback) => {
    const done = (error: NodeJS.ErrnoException | null, found: string | LookupAddress[], family?: number) => {
      const addresses = typeof found === 'string' ? [found] : (found ?? []).map((entry) => entry.address)
      if (error === null && addresses.some((address) => isRefused(address, guard))) {
        callback(new InternalAddressError(refusal(hostname)), '')
      } else callback(error, found, family)
    }
    base(hostname, options as LookupOptions, done)
  }
}

function isRefused(address: string, guard: Guard): boolean {
  return isInternalAddress(address) || (guard === 'private' && isPrivateAddress(address))
}

function refusal(host: string): string {
  return `${host} is this machine or in a private network`
}

/** A private registry may have private storage. What cannot be looked up is somewhere in public. */
function isInPrivateNetwork(host: string, lookup: LookupFunction): Promise<boolean> {
  const bare = withoutBrackets(host)
  const isInside = (address: string) => isInternalAddress(address) || isPrivateAddress(address)
  if (isLoopbackHost(bare)) return Promise.resolve(true)
  if (isIP(bare) !== 0) return Promise.resolve(isInside(bare))
  return new Promise((resolve) =>
    lookup(bare, { all: true }, (error, found) => {
      const addresses = Array.isArray(found) ? found.map(({ address }) => address) : [String(found)]
      resolve(error === null && addresses.some(isInside))
    }),
  )
}
