import type { Builder, BuildOptions } from '@tsbuild/builder'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { checkText } from './check-text.ts'
import { describeJson, describeText } from './describe.ts'
import { checkJson, outlineJson, targetsJson } from './json.ts'
import type { CallMethod } from './method.ts'
import { outlineText, targetsText } from './tables.ts'

/** One `--call` under way. */
export interface Call {
  readonly method: CallMethod
  readonly options: BuildOptions
  readonly host: Host
  readonly builder: Builder
  readonly signal: AbortSignal
}

/**
 * Asks about a Dockerfile and writes the answer to standard output.
 *
 * @returns 1 for a check that found something, else 0
 * @throws {UserError | EnvironmentError} what the builder throws
 */
export async function runCall({ method, options, host, builder, signal }: Call): Promise<number> {
  const asked = { ...options, signal }
  const json = method.format === 'json'
  const { stdout } = host
  switch (method.name) {
    case 'check': {
      const report = await builder.check(asked)
      stdout.write(json ? checkJson(report) : checkText(report))
      return report.warnings.length > 0 || report.error !== undefined ? exitCodes.user : exitCodes.success
    }
    case 'outline': {
      const report = await builder.outline(asked)
      stdout.write(json ? outlineJson(report) : outlineText(report))
      return exitCodes.success
    }
    case 'targets': {
      const report = await builder.targets(asked)
      stdout.write(json ? targetsJson(report) : targetsText(report))
      return exitCodes.success
    }
    case 'subrequests.describe':
      stdout.write(json ? describeJson() : describeText())
      return exitCodes.success
    case 'build':
      throw new RangeError('a build is no call')
  }
}
