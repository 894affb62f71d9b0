import type { SourceRange } from '@tsbuild/errors'

/** What starts an instruction, in lower case. */
export type InstructionKind = Instruction['kind']

/** What every instruction carries. Text is as written: no variable is expanded anywhere in an {@link Instruction}. */
export interface InstructionBase {
  /** From the first character of the instruction word to the end of its last line, heredoc bodies and end words included. */
  readonly source: SourceRange
  /** The instruction word as written, for example `run` or `FROM`. */
  readonly keyword: string
  /** The instruction on one line as BuildKit names a step: continuations joined, comments dropped, trimmed; no heredoc bodies. */
  readonly original: string
  /** The comment lines directly above, without `#` and outer blanks, in file order. */
  readonly comments: readonly string[]
}

/** A here-document of `RUN`, `COPY`, `ADD` or of an `ONBUILD` of them. */
export interface Heredoc {
  /** The word after `<<`, unquoted. */
  readonly name: string
  /** The body as it stands in the file, line ends included, before tabs are removed (see `heredocText`). */
  readonly content: string
  /** Written `<<-`: leading tabs of the body do not count. */
  readonly stripTabs: boolean
  /** No part of the word is quoted: variables in the body of a `COPY` or `ADD` are expanded. */
  readonly expand: boolean
  /** The number before `<<`; 0 when there is none. */
  readonly fileDescriptor: number
  /** The lines of the body; empty (start = end) when the body is. */
  readonly source: SourceRange
  /** The word that ends it, without the tabs before it. */
  readonly terminator: SourceRange
}

/** A command of `RUN`, `CMD`, `ENTRYPOINT` or `HEALTHCHECK CMD`. */
export type CommandLine =
  | { readonly form: 'shell'; readonly text: string }
  | { readonly form: 'exec'; readonly args: readonly string[] }

/** One `KEY=value` of `ENV` or `LABEL`; quotes and escapes are still in both parts. */
export interface KeyValue {
  readonly key: string
  readonly value: string
}

/** One name of an `ARG`. */
export interface ArgDeclaration {
  readonly name: string
  /** The default, unexpanded; null when there is no `=` (then a build argument or a global `ARG` gives the value). */
  readonly value: string | null
  /** What the comment above says after this name, if it starts with the name. */
  readonly description: string | null
}

/** One `--mount=` as written. Its fields may hold variables, so it becomes a `Mount` only through `parseMount`. */
export interface MountFlag {
  /** The text after `--mount=`. */
  readonly text: string
  /** The fields in order; keys in lower case; value null for a bare key; the text is the whole field as written. */
  readonly fields: readonly { readonly key: string; readonly value: string | null; readonly text: string }[]
  /** Where `--mount=…` stands in its instruction: the nth flag, counted from 0. */
  readonly flagIndex: number
}

/** A file that a heredoc makes: `COPY <<name …`. */
export interface InlineFile {
  /** The heredoc's word: the name of the file below a destination that ends in `/`. */
  readonly name: string
  /** The body, tabs already removed for `<<-`. */
  readonly content: string
  /** Whether the body is to be expanded (`expandHeredoc`). */
  readonly expand: boolean
}

/** What `COPY` and `ADD` share. Flags that are not given are null, false or empty. */
export interface CopyBase extends InstructionBase {
  /** Paths (and, for `ADD`, URLs) in order, heredocs left out. */
  readonly sources: readonly string[]
  /** Heredoc sources in order. BuildKit puts them after the paths. */
  readonly inlineFiles: readonly InlineFile[]
  /** Where the heredocs stand. Files are made of `inlineFiles`. */
  readonly heredocs: readonly Heredoc[]
  readonly destination: string
  readonly chown: string | null
  readonly chmod: string | null
  readonly link: boolean
  /** Patterns of `--exclude`, never expanded. */
  readonly exclude: readonly string[]
}

/** `FROM [--platform=p] image [AS name]`. */
export interface FromInstruction extends InstructionBase {
  readonly kind: 'from'
  /** Image or stage name, unexpanded. */
  readonly image: string
  /** In lower case; null when the stage has no name. */
  readonly stageName: string | null
  /** As written, for lint. */
  readonly stageNameText: string | null
  /** The word between image and name as written (`AS`, `as`), for lint. */
  readonly asKeyword: string | null
  readonly platform: string | null
  /** What the comment above says after the stage's name, if it starts with it. */
  readonly description: string | null
}

/** `ARG NAME[=default] …`. */
export interface ArgInstruction extends InstructionBase {
  readonly kind: 'arg'
  readonly args: readonly ArgDeclaration[]
}

/** `ENV K=V …` or `ENV K rest of line`. */
export interface EnvInstruction extends InstructionBase {
  readonly kind: 'env'
  readonly pairs: readonly KeyValue[]
  /** Written without `=`. */
  readonly legacy: boolean
}

/** `LABEL k=v …` or `LABEL k rest of line`. */
export interface LabelInstruction extends InstructionBase {
  readonly kind: 'label'
  readonly pairs: readonly KeyValue[]
  /** Written without `=`. */
  readonly legacy: boolean
}

/** `RUN`. */
export interface RunInstruction extends InstructionBase {
  readonly kind: 'run'
  /** The shell text holds the heredoc words (`cat <<EOF`), not the bodies. */
  readonly command: CommandLine
  readonly heredocs: readonly Heredoc[]
  readonly mounts: readonly MountFlag[]
  readonly network: 'default' | 'none' | 'host'
  readonly security: 'sandbox' | 'insecure'
  /** `--cache`: how old a record of it may be that counts, in ms; 0: none does. Null when not given: of any age. */
  readonly maxAgeMs: number | null
}

/** `COPY`. */
export interface CopyInstruction extends CopyBase {
  readonly kind: 'copy'
  /** Stage name, stage index, image or named context; never expanded. */
  readonly from: string | null
  readonly parents: boolean
}

/** `ADD`. */
export interface AddInstruction extends CopyBase {
  readonly kind: 'add'
  readonly checksum: string | null
  /** Null when the flag is not given: the build option decides. */
  readonly keepGitDir: boolean | null
  /** Null when the flag is not given: local archives are unpacked, remote ones not. */
  readonly unpack: boolean | null
}

/** `CMD`. */
export interface CmdInstruction extends InstructionBase {
  readonly kind: 'cmd'
  readonly command: CommandLine
}

/** `ENTRYPOINT`. */
export interface EntrypointInstruction extends InstructionBase {
  readonly kind: 'entrypoint'
  readonly command: CommandLine
}

/** `EXPOSE`. Each word may expand to several (`expandWords`), each of which is read by `parseExposePort`. */
export interface ExposeInstruction extends InstructionBase {
  readonly kind: 'expose'
  /** As written, in file order. */
  readonly ports: readonly string[]
}

/** `VOLUME`. */
export interface VolumeInstruction extends InstructionBase {
  readonly kind: 'volume'
  readonly paths: readonly string[]
}

/** `USER user[:group]`. */
export interface UserInstruction extends InstructionBase {
  readonly kind: 'user'
  readonly user: string
}

/** `WORKDIR path`. */
export interface WorkdirInstruction extends InstructionBase {
  readonly kind: 'workdir'
  readonly path: string
}

/** `SHELL ["…"]`; never empty. */
export interface ShellInstruction extends InstructionBase {
  readonly kind: 'shell'
  readonly shell: readonly string[]
}

/** `STOPSIGNAL`. Validate the expanded word with `parseSignal`. */
export interface StopSignalInstruction extends InstructionBase {
  readonly kind: 'stopsignal'
  readonly signal: string
}

/** Times of a health check in nanoseconds; 0 means: inherit. */
export interface HealthcheckOptions {
  readonly intervalNs: number
  readonly timeoutNs: number
  readonly startPeriodNs: number
  readonly startIntervalNs: number
  readonly retries: number
}

/** `HEALTHCHECK NONE` (command null) or `HEALTHCHECK [flags] CMD …`. */
export interface HealthcheckInstruction extends InstructionBase {
  readonly kind: 'healthcheck'
  readonly command: CommandLine | null
  readonly options: HealthcheckOptions
}

/** `ONBUILD`. */
export interface OnbuildInstruction extends InstructionBase {
  readonly kind: 'onbuild'
  /** The trigger as the image config stores it, heredoc bodies and end words included; read it with `parseTrigger`. */
  readonly expression: string
  /** Where the heredocs of the trigger stand. */
  readonly heredocs: readonly Heredoc[]
}

/** `MAINTAINER text` (deprecated). */
export interface MaintainerInstruction extends InstructionBase {
  readonly kind: 'maintainer'
  readonly name: string
}

/** One instruction of a Dockerfile, syntax checked, values unexpanded. @see spec/dockerfile.md 1.2 */
export type Instruction =
  | FromInstruction
  | ArgInstruction
  | EnvInstruction
  | LabelInstruction
  | RunInstruction
  | CopyInstruction
  | AddInstruction
  | CmdInstruction
  | EntrypointInstruction
  | ExposeInstruction
  | VolumeInstruction
  | UserInstruction
  | WorkdirInstruction
  | ShellInstruction
  | StopSignalInstruction
  | HealthcheckInstruction
  | OnbuildInstruction
  | MaintainerInstruction

/** The escape character, set by the `escape` directive. */
export type EscapeToken = '\\' | '`'

/** A part of the language that is tsbuild's own, switched on by the directive `# tsbuild=`. */
export type Extension = 'cache-control'

/** A parser directive of the first lines: `# name=value`. */
export interface Directive {
  readonly name: 'syntax' | 'escape' | 'check' | 'tsbuild'
  readonly value: string
  readonly source: SourceRange
}

/** A `FROM` and what follows it up to the next. */
export interface Stage {
  /** Position in the file, from 0. */
  readonly index: number
  /** In lower case; null when the stage has no name. */
  readonly name: string | null
  readonly from: FromInstruction
  /** The instructions after `FROM`, in order; never holds a `from`. */
  readonly instructions: readonly Exclude<Instruction, FromInstruction>[]
}

/** A lint finding. Never fails a build by itself. @see spec/dockerfile.md 1.8 */
export interface LintWarning {
  /** The rule's BuildKit name, for example `StageNameCasing`. */
  readonly rule: string
  readonly message: string
  readonly source: SourceRange
}

/** A parsed Dockerfile. */
export interface Dockerfile {
  /** The name given to `parseDockerfile`; all ranges carry it. */
  readonly file: string
  readonly text: string
  readonly escape: EscapeToken
  readonly directives: readonly Directive[]
  /** All instructions in file order. */
  readonly instructions: readonly Instruction[]
  /** The `ARG`s before the first `FROM`. */
  readonly globalArgs: readonly ArgInstruction[]
  readonly stages: readonly Stage[]
  /** What the reader noticed (`NoEmptyContinuation`); `lint` gives all rules. */
  readonly warnings: readonly LintWarning[]
}
