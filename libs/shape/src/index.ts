export { type DurationUnit, durationMs } from './duration.ts'

/** Whether a value that came from outside has a form: a reply, a file that was read back. */
export type Shape = (value: unknown) => boolean

/** The value of a JSON text; undefined for what is none. */
export function parseJson(written: string): unknown {
  try {
    return JSON.parse(written)
  } catch {
    return undefined
  }
}

/** An object that is no list. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A text. */
export const text: Shape = (value) => typeof value === 'string'
/** True or false. */
export const flag: Shape = (value) => typeof value === 'boolean'
/** A whole number from 0 on. JSON can hold a number that becomes infinite. */
export const count: Shape = (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
/** A whole number. */
export const integer: Shape = (value) => typeof value === 'number' && Number.isSafeInteger(value)
/** Unix ms from 0 to the last that a date of JavaScript has: what is later throws when it is written as a date. */
export const unixMs: Shape = (value) => count(value) && Number(value) <= 8.64e15
/** Null. */
export const nothing: Shape = (value) => value === null

/** Absent, as JSON has it for undefined. */
export const optional =
  (shape: Shape): Shape =>
  (value) =>
    value === undefined || shape(value)

/** One of these forms. */
export const either =
  (...shapes: readonly Shape[]): Shape =>
  (value) =>
    shapes.some((shape) => shape(value))

/** One of these values. */
export const oneOf =
  (...values: readonly unknown[]): Shape =>
  (value) =>
    values.includes(value)

/** A list whose entries have a form. */
export const listOf =
  (shape: Shape): Shape =>
  (value) =>
    Array.isArray(value) && value.every(shape)

/** The members of an object. */
export type Members = Readonly<Record<string, Shape>>

/** An object with these members; others are of a later version and passed over. */
export const objectOf =
  (members: Members): Shape =>
  (value) =>
    isRecord(value) && Object.entries(members).every(([name, shape]) => shape(value[name]))

/** An object with exactly these members, none of them absent. */
export const exactly =
  (members: Members): Shape =>
  (value) => {
    if (!isRecord(value)) return false
    const names = Object.keys(value)
    return (
      names.length === Object.keys(members).length &&
      names.every((name) => Object.hasOwn(members, name) && members[name]?.(value[name]) === true)
    )
  }
export { parseUrl } from './url.ts'
