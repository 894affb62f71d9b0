import { exitCodes as ofEvery } from '@tsbuild/command-line'

/** How the command ends. `tsbuild run` passes the program's own code through instead of 0. */
export const exitCodes = {
  ...ofEvery,
  /** `tsbuild verify` found damage that is still there. */
  damaged: 1,
  /** `tsbuild compare` found a difference. */
  different: 1,
} as const
