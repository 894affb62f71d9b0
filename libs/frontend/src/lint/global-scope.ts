import { expand } from '@tsbuild/dockerfile'
import { buildArgOf, platformArgs } from '../scope.ts'
import type { FrontendOptions } from '../types.ts'

/** Values of the ARGs before the first FROM, and of the platform arguments. A default that is overridden is not expanded. */
export function globalScope(
  options: Pick<FrontendOptions, 'dockerfile' | 'buildArgs' | 'platform' | 'buildPlatform' | 'target'>,
): Map<string, string> {
  const { dockerfile, buildArgs } = options
  const values = new Map(platformArgs(options.platform, options.buildPlatform))
  values.set('TARGETSTAGE', options.target ?? dockerfile.stages.at(-1)?.name ?? 'default')
  for (const name of values.keys()) values.set(name, buildArgOf(buildArgs, name) ?? values.get(name) ?? '')
  const look = (name: string) => values.get(name)
  for (const { args, source } of dockerfile.globalArgs) {
    for (const { name, value } of args) {
      const given = buildArgOf(buildArgs, name)
      if (given !== undefined) values.set(name, given)
      else if (value !== null) values.set(name, expand(value, look, { escape: dockerfile.escape, source }))
    }
  }
  return values
}
