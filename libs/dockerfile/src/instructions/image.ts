import { splitBlanks, trimSpace } from '../characters.ts'
import { readFlags } from '../flag-values.ts'
import type {
  ExposeInstruction,
  MaintainerInstruction,
  StopSignalInstruction,
  UserInstruction,
  VolumeInstruction,
  WorkdirInstruction,
} from '../instruction.ts'
import { jsonStrings, type Request, refuse } from '../request.ts'

/** The whole text after the flags is the one argument, blanks included. */
function oneArgument(request: Request): string {
  if (request.rest === '')
    refuse(request, `${request.base.keyword.toUpperCase()} requires exactly one argument`)
  return request.rest
}

/** Parses `EXPOSE`. @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG` */
export function parseExpose(request: Request): ExposeInstruction {
  readFlags(request)
  const ports = splitBlanks(request.rest)
  if (ports.length === 0) refuse(request, 'EXPOSE requires at least one argument')
  return { ...request.base, kind: 'expose', ports }
}

/** Parses `VOLUME`. @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG` */
export function parseVolume(request: Request): VolumeInstruction {
  readFlags(request)
  const words = jsonStrings(request) ?? splitBlanks(request.rest)
  if (words.length === 0) refuse(request, 'VOLUME requires at least one argument')
  const paths = words.map((word, argument) => {
    const path = trimSpace(word)
    if (path === '') refuse(request, 'VOLUME specified can not be an empty string', { at: { argument } })
    return path
  })
  return { ...request.base, kind: 'volume', paths }
}

/** Parses `USER`. @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG` */
export function parseUser(request: Request): UserInstruction {
  readFlags(request)
  return { ...request.base, kind: 'user', user: oneArgument(request) }
}

/** Parses `WORKDIR`. @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG` */
export function parseWorkdir(request: Request): WorkdirInstruction {
  readFlags(request)
  return { ...request.base, kind: 'workdir', path: oneArgument(request) }
}

/** Parses `STOPSIGNAL`. @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG` */
export function parseStopSignal(request: Request): StopSignalInstruction {
  readFlags(request)
  return { ...request.base, kind: 'stopsignal', signal: oneArgument(request) }
}

/** Parses `MAINTAINER`. @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG` */
export function parseMaintainer(request: Request): MaintainerInstruction {
  readFlags(request)
  return { ...request.base, kind: 'maintainer', name: oneArgument(request) }
}
