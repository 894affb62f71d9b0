import type { BuildOptions } from './types.ts'

/** What Go's `strconv.ParseBool` takes for true: BuildKit reads the argument with it. */
const truths: ReadonlySet<string | undefined> = new Set(['1', 't', 'T', 'true', 'TRUE', 'True'])

/** `--build-arg BUILDKIT_INLINE_CACHE=1` says what `--cache-to type=inline` says, which it is older than. @see spec/interface.md 5.3 */
export function withInlineCacheArgument(options: BuildOptions): BuildOptions {
  const { buildArgs, cacheTo = [] } = options
  if (!truths.has(buildArgs?.BUILDKIT_INLINE_CACHE) || cacheTo.some(({ type }) => type === 'inline'))
    return options
  return { ...options, cacheTo: [...cacheTo, { type: 'inline' }] }
}
