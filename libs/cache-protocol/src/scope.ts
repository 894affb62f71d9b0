import type { Scope } from '@tsbuild/trust'
import { matching } from './shapes.ts'

const form = matching(/^[^\s:]{1,200}:[a-z]{1,16}\/[^\s]{1,200}$/)

/** Reads the name of a scope; undefined for what is none. */
export function readScope(value: unknown): Scope | undefined {
  return form(value) ? (value as Scope) : undefined
}
