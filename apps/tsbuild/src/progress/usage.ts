import type { BuildEvent } from '@tsbuild/events'
import { formatBytes, formatSeconds } from './format.ts'

/** A step is worth a line about what it used from this much on; most steps are not. */
const notableCpuMs = 10_000
const notableMemoryBytes = 1e9

/** `used 45.2s of CPU, 1.25GB of memory` for a step that used much; undefined for any other. */
export function notableUsage(usage: BuildEvent & { readonly type: 'vertex.usage' }): string | undefined {
  const cpuMs = (usage.userMicros + usage.systemMicros) / 1000
  if (cpuMs < notableCpuMs && usage.peakMemoryBytes < notableMemoryBytes) return undefined
  return `used ${formatSeconds(cpuMs)} of CPU, ${formatBytes(usage.peakMemoryBytes)} of memory`
}
