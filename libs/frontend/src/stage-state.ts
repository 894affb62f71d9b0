import type { Digest } from '@tsbuild/digest'
import type { Stage } from '@tsbuild/dockerfile'
import type { HistoryEntry, Platform, RuntimeConfig } from '@tsbuild/oci'
import type { Scope } from './scope.ts'
import type { HistoryDraft } from './types.ts'

/** `PATH` of an image that sets none. */
export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** A stage while its instructions are applied. */
export interface StageState {
  readonly stage: Stage
  readonly scope: Scope
  /** As in BuildKit's step names: `build`, `stage-1`, or empty in a file with one unnamed stage. */
  readonly label: string
  readonly ignoreCache: boolean
  /** What its steps run on, and what its `--from` images are chosen for: `FROM --platform`, else that of the base stage. */
  readonly platform: Platform
  readonly total: number
  number: number
  /** The file system so far; undefined is empty. */
  rootfs: Digest | undefined
  config: RuntimeConfig
  author: string | undefined
  readonly baseHistory: readonly HistoryEntry[]
  readonly baseCreated: string | undefined
  readonly history: HistoryDraft[]
  /** A CMD of this very stage, which ENTRYPOINT does not reset. */
  hasOwnCmd: boolean
}

/** The name of the next step: `[build 2/4] RUN make`. Counts it. */
export function nextStepName(state: StageState, text: string): string {
  state.number++
  return `[${state.label === '' ? '' : `${state.label} `}${state.number}/${state.total}] ${text}`
}

/** Sets `NAME=value` in an image's environment, in the place of an earlier value. */
export function withEnv(env: readonly string[] | undefined, name: string, value: string): readonly string[] {
  const entry = `${name}=${value}`
  const list = [...(env ?? [])]
  const at = list.findIndex((item) => item.startsWith(`${name}=`))
  if (at < 0) return [...list, entry]
  list[at] = entry
  return list
}
