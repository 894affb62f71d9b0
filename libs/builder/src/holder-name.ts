import type { LockHolder } from '@tsbuild/store'

/** Whom a step waits for, as the subject of a sentence. */
export function holderName(holder: LockHolder | undefined): string {
  if (holder === undefined) return 'another process'
  const { pid, label, stopped } = holder
  const state = stopped ? `, which is stopped (\`kill -CONT ${pid}\` lets it go on),` : ''
  return `process ${pid} of build ${label}${state}`
}
