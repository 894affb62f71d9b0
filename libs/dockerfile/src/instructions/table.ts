import type { Instruction } from '../instruction.ts'
import type { Request } from '../request.ts'
import { parseCmd, parseEntrypoint, parseHealthcheck, parseShell } from './command.ts'
import { parseAdd, parseCopy } from './copy.ts'
import { parseFrom } from './from.ts'
import {
  parseExpose,
  parseMaintainer,
  parseStopSignal,
  parseUser,
  parseVolume,
  parseWorkdir,
} from './image.ts'
import { parseOnbuild } from './onbuild.ts'
import { parseRun } from './run.ts'
import { parseArg, parseEnv, parseLabel } from './variables.ts'

/** The parser of each instruction, by the instruction's word in lower case. */
export const instructionParsers: ReadonlyMap<string, (request: Request) => Instruction> = new Map<
  string,
  (request: Request) => Instruction
>([
  ['add', parseAdd],
  ['arg', parseArg],
  ['cmd', parseCmd],
  ['copy', parseCopy],
  ['entrypoint', parseEntrypoint],
  ['env', parseEnv],
  ['expose', parseExpose],
  ['from', parseFrom],
  ['healthcheck', parseHealthcheck],
  ['label', parseLabel],
  ['maintainer', parseMaintainer],
  ['onbuild', parseOnbuild],
  ['run', parseRun],
  ['shell', parseShell],
  ['stopsignal', parseStopSignal],
  ['user', parseUser],
  ['volume', parseVolume],
  ['workdir', parseWorkdir],
])
