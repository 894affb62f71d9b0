/** Whether a value that was read back has a form. */
export type Shape = (value: unknown) => boolean

/** A text. */
export const text: Shape = (value) => typeof value === 'string'
/** True or false. */
export const flag: Shape = (value) => typeof value === 'boolean'
/** A whole number from 0 on. JSON can hold a number that becomes infinite. */
export const count: Shape = (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
/** A whole number. */
export const integer: Shape = (value) => typeof value === 'number' && Number.isSafeInteger(value)
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

/** An object with these members; others are of a later version and passed over. */
export const objectOf =
  (members: Readonly<Record<string, Shape>>): Shape =>
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(members).every(([name, shape]) => shape(Reflect.get(value, name)))
