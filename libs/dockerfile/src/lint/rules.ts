/** What a rule must know beside the text of the Dockerfile. */
export type LintSubject =
  /** The text and the build arguments. */
  | 'text'
  /** The base image: its name after expansion, its config. */
  | 'image'
  /** The build context's ignore rules. */
  | 'context'

/** One row of the table of rules. */
export interface LintRule {
  /** What the rule wants, in one sentence without a final stop. */
  readonly summary: string
  readonly subject: LintSubject
  /** Not one of BuildKit's. */
  readonly own: boolean
  /** Runs only where `# check=experimental=` asks for it. */
  readonly experimental: boolean
}

const rule = (summary: string, more: Partial<LintRule> = {}): LintRule => ({
  summary,
  subject: 'text',
  own: false,
  experimental: false,
  ...more,
})

/** Every rule. docs/reference/lint/README.md is generated from this table, and each rule has its page beside it. */
export const lintRules = {
  StageNameCasing: rule('Stage names are in lower case'),
  FromAsCasing: rule('`AS` is in the case of `FROM`'),
  NoEmptyContinuation: rule('No empty line stands inside of a continued instruction'),
  ConsistentInstructionCasing: rule('All instruction words are in one case'),
  DuplicateStageName: rule('No two stages have one name'),
  ReservedStageName: rule('No stage is called `scratch` or `context`'),
  JSONArgsRecommended: rule('CMD and ENTRYPOINT are in JSON form, so that signals reach the program'),
  MaintainerDeprecated: rule('A label says who maintains the image, not MAINTAINER'),
  UndefinedArgInFrom: rule('FROM uses only arguments that are declared before the first FROM'),
  UndefinedVar: rule('A variable is set before it is used', { subject: 'image' }),
  WorkdirRelativePath: rule('The first WORKDIR of a stage is absolute', { subject: 'image' }),
  MultipleInstructionsDisallowed: rule('A stage has one CMD, one ENTRYPOINT and one HEALTHCHECK'),
  LegacyKeyValueFormat: rule('ENV and LABEL are written with `=`'),
  InvalidBaseImagePlatform: rule('The base image is of the platform that was asked for', {
    subject: 'image',
  }),
  RedundantTargetPlatform: rule('FROM does not repeat the default `--platform=$TARGETPLATFORM`'),
  SecretsUsedInArgOrEnv: rule('No ARG or ENV has the name of a secret'),
  InvalidDefaultArgInFrom: rule('The defaults of the arguments give FROM a valid image name'),
  FromPlatformFlagConstDisallowed: rule('The platform of a FROM is not a constant'),
  CopyIgnoredFile: rule('No source of COPY or ADD is hidden by .dockerignore', { subject: 'context' }),
  InvalidDefinitionDescription: rule('A comment above ARG or FROM begins with the name that it describes', {
    experimental: true,
  }),
  ExposeProtoCasing: rule('Protocols in EXPOSE are in lower case'),
  ExposeInvalidFormat: rule('EXPOSE has no IP address and no port of the host'),
  HeredocWithoutErrexit: rule('A RUN heredoc of several commands stops at the first that fails', {
    own: true,
  }),
  SecretInBuildArg: rule('No secret is given as a build argument', { own: true }),
  UnusedBuildArg: rule('Each build argument is declared by an ARG', { own: true }),
  CopyBeforeInstall: rule('Dependencies are installed before the whole context is copied', { own: true }),
  AptGetUpdateAlone: rule('`apt-get update` is in one RUN with the installation that needs it', {
    own: true,
  }),
  FloatingBaseTag: rule('A base image has a tag other than `latest`, or a digest', {
    subject: 'image',
    own: true,
    experimental: true,
  }),
} as const satisfies Readonly<Record<string, LintRule>>

/** The name of a rule. */
export type LintRuleName = keyof typeof lintRules

/** Whether a warning's name is that of a lint rule; other notices of a build have no page. */
export function isLintRule(name: string): name is LintRuleName {
  return Object.hasOwn(lintRules, name)
}

/** The page about a rule, as a path in the repository and in the packages. */
export function lintPage(name: LintRuleName): string {
  return `docs/reference/lint/${name}.md`
}
