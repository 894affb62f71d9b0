import { secretInBuildArg } from './build-arg-rules.ts'
import { copyBeforeInstall } from './copy-rules.ts'
import type { Rule } from './finding.ts'
import { instructionRules } from './instruction-rules.ts'
import { runRules } from './run-rules.ts'
import { stageRules } from './stage-rules.ts'

/** The rules that need only the text. */
export const textRules: readonly Rule[] = [
  ...stageRules,
  ...instructionRules,
  secretInBuildArg,
  ...runRules,
  copyBeforeInstall,
]
