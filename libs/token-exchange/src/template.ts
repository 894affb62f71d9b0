import type { Claims } from './types.ts'

/** A text that came of a template; `missing` names what it lacks, `unfit` what does not fit in its place. */
export type Expanded =
  | { readonly text: string }
  | { readonly missing: string }
  | { readonly unfit: string }
  | undefined

/** Whether a value may stand where one component, or several, are wanted. */
type IsFit = (value: string, several: boolean) => boolean

const place = /\{([A-Za-z_]\w*)(\.\.\.)?(\?)?\}/g
const maxValueLength = 255

/**
 * Puts claims into a template: `gh:{repository...}:ref/{branch...}`.
 *
 * `{name}` takes one component, `{name...}` one or more. Neither takes what has a colon, a star, a brace, a character that nobody sees, or a
 * component that is empty or made of dots only: a claim never says more than the place that it is put into.
 *
 * @returns undefined where a `{name?}` or `{name...?}` is not known
 */
export function expandTemplate(template: string, values: Claims, isFit: IsFit = isFitForPlace): Expanded {
  let fault: Expanded
  let isLeftOut = false
  const text = template.replace(place, (_, name: string, several?: string, optional?: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined
    if (value === undefined || value === '') {
      if (optional === undefined) fault ??= { missing: name }
      else isLeftOut = true
      return ''
    }
    if (!isFit(value, several !== undefined)) fault ??= { unfit: name }
    return value
  })
  return fault ?? (isLeftOut ? undefined : { text })
}

/** What is wrong with the form of a template; undefined for nothing. */
export function templateFault(template: string): string | undefined {
  return /[{}]/.test(template.replace(place, '')) ? 'a brace that belongs to no {name}' : undefined
}

/** For texts that are only shown. */
export function isFitForShow(value: string): boolean {
  return value.length <= maxValueLength && !/[\p{C}\p{Zl}\p{Zp}]/u.test(value)
}

function isFitForPlace(value: string, several: boolean): boolean {
  // A star or a brace would become part of a pattern.
  if (!isFitForShow(value) || /[:*{}]/.test(value)) return false
  const components = value.split('/')
  return (several || components.length === 1) && components.every((component) => !/^\.*$/.test(component))
}
