import { readFlags } from '../flag-values.ts'
import { splitLine } from '../flags.ts'
import type { OnbuildInstruction } from '../instruction.ts'
import { type Request, refuse } from '../request.ts'

/**
 * Parses `ONBUILD`. Only the trigger's word is judged here; the rest is when the trigger runs.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG`
 */
export function parseOnbuild(request: Request): OnbuildInstruction {
  if (request.rest === '') refuse(request, 'ONBUILD requires at least one argument')
  readFlags(request)
  const at = { argument: 0 }
  const trigger = splitLine(request.rest, request.escape).keyword.toUpperCase()
  if (trigger === 'ONBUILD') refuse(request, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", { at })
  if (trigger === 'MAINTAINER' || trigger === 'FROM') {
    refuse(request, `${trigger} isn't allowed as an ONBUILD trigger`, { at })
  }
  const bodies = request.heredocs.map(({ content, name }) => `\n${content}${name}`)
  const expression = request.base.original.replace(/^\s*ONBUILD\s*/i, '') + bodies.join('')
  return { ...request.base, kind: 'onbuild', expression }
}
