import type { BuildError, SourceRange } from '@tsbuild/errors'
import type { Outline, Target } from '@tsbuild/frontend'
import type { SessionCgroup } from '@tsbuild/native'

/** `tsbuild doctor`. */
export interface DoctorReport {
  readonly rootless: boolean
  readonly kernel: string
  /** Everything that builds may need, in the order to show it. */
  readonly capabilities: readonly Capability[]
  /** What steps can be limited by. */
  readonly cgroups: readonly SessionCgroup[]
  /** What connects the private network of steps; undefined: steps have the host's. */
  readonly network: 'pasta' | 'slirp4netns' | undefined
  /** Foreign platforms that steps can run for. */
  readonly platforms: readonly string[]
}

/** Something that the machine can do or not. */
export interface Capability {
  /** `private network` */
  readonly name: string
  readonly works: boolean
  /** Builds cannot run without it. */
  readonly required: boolean
  /** What there is, or why not. */
  readonly detail: string
  /** What does not work without it. */
  readonly without: string | undefined
  /** Commands that give it; none where it works. */
  readonly fixes: readonly string[]
}

/** A Dockerfile that a report is about. */
export interface ReportSource {
  /** As shown to the user; what ranges carry. */
  readonly file: string
  readonly text: string
}

/** A finding of lint, or another notice. */
export interface CheckWarning {
  readonly rule: string
  readonly message: string
  /** The word that is wrong; null for what is wrong outside of the file. */
  readonly source: SourceRange | null
  /** What the rule wants; absent for a notice that is no rule. */
  readonly summary?: string | undefined
  /** The page about the rule, a path below the documentation's root. */
  readonly page?: string | undefined
}

/** See `Builder.check`. */
export interface CheckReport {
  readonly dockerfile: ReportSource
  /** In file order; what has no place comes last. */
  readonly warnings: readonly CheckWarning[]
  /** What would end a build; the first such place of the file. */
  readonly error: BuildError | undefined
  /** Images that could not be asked for, each once: rules that need them did not run. */
  readonly unresolved: readonly { readonly reference: string; readonly reason: string }[]
}

/** See `Builder.outline`. */
export interface OutlineReport extends Outline {
  readonly dockerfile: ReportSource
}

/** See `Builder.targets`. */
export interface TargetsReport {
  readonly dockerfile: ReportSource
  /** In file order. */
  readonly targets: readonly Target[]
}
