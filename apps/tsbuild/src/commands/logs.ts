import { logs } from '../history/logs.ts'
import type { Host } from '../host.ts'

/** `tsbuild logs [REF [STEP]]`. */
export function run(argv: readonly string[], host: Host): Promise<number> {
  return logs.run(argv, host)
}

/** The text of `tsbuild logs --help`. */
export function help(): string {
  return logs.help()
}
