import { readFlags } from '../flag-values.ts'
import { splitLine } from '../flags.ts'
import type { OnbuildInstruction } from '../instruction.ts'
import { jsonStrings, type Request, refuse } from '../request.ts'
import { parsePairs } from './variables.ts'

/** The triggers whose text may be a JSON array. */
const JSON_TRIGGERS = new Set(['ADD', 'CMD', 'COPY', 'ENTRYPOINT', 'RUN', 'SHELL', 'VOLUME'])

/** Judges what is wrong in whatever way the trigger's flags are read. The words that it counts are not those of the line. */
function checkTrigger(trigger: Request): void {
  const { keyword, source } = trigger.base
  const request = { ...trigger, locate: () => source }
  if (JSON_TRIGGERS.has(keyword)) jsonStrings(request)
  else if ((keyword === 'ENV' || keyword === 'LABEL') && trigger.rest !== '') parsePairs(request)
}

/**
 * Parses `ONBUILD`. Of the trigger its word, the JSON form and the shape of `ENV` and `LABEL` are judged here, as in BuildKit; the
 * rest is when it runs, maybe by a builder that knows more.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG`
 */
export function parseOnbuild(request: Request): OnbuildInstruction {
  if (request.rest === '') refuse(request, 'ONBUILD requires at least one argument')
  readFlags(request)
  const at = { argument: 0 }
  const split = splitLine(request.rest)
  const trigger = split.keyword.toUpperCase()
  if (trigger === 'ONBUILD') refuse(request, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", { at })
  if (trigger === 'MAINTAINER' || trigger === 'FROM') {
    refuse(request, `${trigger} isn't allowed as an ONBUILD trigger`, { at })
  }
  checkTrigger({ ...request, base: { ...request.base, keyword: trigger }, ...split })
  const bodies = request.heredocs.map(({ content, name }) => `\n${content}${name}`)
  const expression = request.base.original.replace(/^\s*ONBUILD\s*/i, '') + bodies.join('')
  return { ...request.base, kind: 'onbuild', expression, heredocs: request.heredocs }
}
