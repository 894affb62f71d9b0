import { splitBlanks } from '../characters.ts'
import { describe } from '../description.ts'
import { readFlags } from '../flag-values.ts'
import type { FromInstruction } from '../instruction.ts'
import { type Request, refuse } from '../request.ts'

const STAGE_NAME = /^[a-z][a-z0-9\-_.]*$/

function checkStageName(request: Request, written: string): string {
  const name = written.toLowerCase()
  if (!STAGE_NAME.test(name)) {
    const reason = "name can't start with a number or contain symbols"
    refuse(request, `invalid name for build stage: ${JSON.stringify(written)}, ${reason}`, {
      at: { argument: 2 },
    })
  }
  return name
}

/**
 * Parses `FROM`.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG`
 */
export function parseFrom(request: Request): FromInstruction {
  const words = splitBlanks(request.rest)
  const [image, asKeyword = null, written = null] = words
  const named = words.length === 3 && asKeyword?.toLowerCase() === 'as'
  if (image === undefined || (words.length !== 1 && !named)) {
    refuse(request, 'FROM requires either one or three arguments')
  }
  const stageName = written === null ? null : checkStageName(request, written)
  return {
    ...request.base,
    kind: 'from',
    image,
    stageName,
    stageNameText: written,
    asKeyword,
    platform: readFlags(request, { text: ['platform'] }).text('platform'),
    description: stageName === null ? null : describe(request.base.comments, stageName),
  }
}
