import type { OpsOptions } from '../types.ts'

/** Options of which nothing can be read: what works with them depends on the op alone. */
export function untouchable(): OpsOptions {
  const target: object = {}
  return new Proxy(target as OpsOptions, {
    get: (_, name) => {
      throw new RangeError(`"${String(name)}" is not to be used`)
    },
  })
}
