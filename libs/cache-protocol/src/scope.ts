import { isScope, type Scope } from '@tsbuild/trust'

/** Reads the name of a scope; undefined for what is none. */
export function readScope(value: unknown): Scope | undefined {
  return typeof value === 'string' && isScope(value) ? value : undefined
}
