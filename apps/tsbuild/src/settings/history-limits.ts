import type { HistoryLimits } from '@tsbuild/builder'
import { parseAge, parseSize, parseWhole } from '@tsbuild/command-line'
import type { Host } from '../host.ts'
import type { ConfigFile } from './config-file.ts'

/**
 * How much history is kept: TSBUILD_HISTORY_BUILDS, _AGE and _SIZE win over the configuration. What neither says is as by default.
 *
 * @throws {UserError} `ERR_USAGE` for a value that makes no sense
 */
export function historyLimits(env: Host['env'], config: ConfigFile): Partial<HistoryLimits> {
  const builds = env.TSBUILD_HISTORY_BUILDS || config.historyBuilds?.toString()
  const age = env.TSBUILD_HISTORY_AGE || config.historyAge
  const size = env.TSBUILD_HISTORY_SIZE || config.historySize
  return {
    ...(builds === undefined
      ? {}
      : { builds: parseWhole('TSBUILD_HISTORY_BUILDS', builds, [0, Number.MAX_SAFE_INTEGER]) }),
    ...(age === undefined ? {} : { ageMs: parseAge('TSBUILD_HISTORY_AGE', age) }),
    ...(size === undefined ? {} : { bytes: parseSize('TSBUILD_HISTORY_SIZE', size) }),
  }
}
