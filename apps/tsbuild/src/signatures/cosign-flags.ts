import { collect } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'
import { type Command, Option } from 'commander'

/** What scripts written for cosign say and what is always so: nothing is sent to a log, and nobody is asked. */
export interface CosignFlags {
  readonly tlogUpload?: string
}

/** Adds flags of cosign that change nothing here. */
export function addCosignFlags(command: Command): Command {
  for (const flags of [
    '-y, --yes',
    '--insecure-ignore-tlog',
    '--allow-http-registry',
    '--private-infrastructure',
  ])
    command.addOption(new Option(flags).hideHelp())
  return command.addOption(new Option('--tlog-upload <answer>').hideHelp())
}

/** Refuses the log that cosign would write to. @throws {UserError} `ERR_UNSUPPORTED` */
export function refuseLog({ tlogUpload = 'false' }: CosignFlags): void {
  if (tlogUpload === 'false') return
  throw new UserError('ERR_UNSUPPORTED', 'Cannot use flag "--tlog-upload": there is no transparency log')
}

/** `-a NAME=VALUE`, repeatable. */
export function annotationOption(description: string): Option {
  return new Option('-a, --annotations <annotation>', description).argParser(collect)
}

/** Splits `NAME=VALUE`. @throws {UserError} `ERR_USAGE` */
export function readAnnotations(given: readonly string[]): Readonly<Record<string, string>> {
  const pairs = given.map((pair) => {
    const equals = pair.indexOf('=')
    if (equals > 0) return [pair.slice(0, equals), pair.slice(equals + 1)] as const
    throw new UserError('ERR_USAGE', `Cannot parse value "${pair}" of --annotations: expected NAME=VALUE`)
  })
  return Object.fromEntries(pairs)
}
