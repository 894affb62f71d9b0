import type { ExchangeRule } from './types.ts'

/** Where GitHub's own tokens come from; a GitHub Enterprise Server has `https://HOST/_services/token`. */
export const githubIssuer = 'https://token.actions.githubusercontent.com'

/** What the rules of a preset leave open. */
export interface PresetOptions {
  /** Patterns of the repositories (projects) whose jobs get something: anybody's repository has tokens of the same issuer. */
  readonly repositories: readonly string[]
  /** Patterns of `repository_owner_id` (`namespace_id`), so that nobody comes by a name that was given up. */
  readonly owners: readonly string[] | undefined
  /** What every job reads. */
  readonly defaultBranch: string
  readonly ttl: number
  readonly maxBytes: number | undefined
}

/** Events of the merge of a pull request with its base: code of whoever opened it. */
const requestEvents = ['pull_request', 'pull_request_review', 'pull_request_review_comment']
/**
 * Events that only those cause who may push to the branch that they run on. Not among them: `pull_request_target`, `workflow_run`
 * and `issue_comment`, which run on the default branch for anybody, and whose workflows often build what a pull request brings.
 */
const branchEvents = ['push', 'schedule', 'workflow_dispatch']

/**
 * Rules for jobs of GitHub Actions.
 *
 * - a pull request reads itself, its base and the default branch, and writes itself
 * - a merge queue reads its base and the default branch, and writes its own temporary branch
 * - a push, a schedule or a start by hand on a branch reads the branch and the default branch, and writes the branch
 * - everything else (tags, which may be called like a branch; `pull_request_target`; comments) reads the default branch
 *
 * @see https://docs.github.com/en/actions/reference/security/oidc
 * @see https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows
 */
export function githubRules(options: PresetOptions): readonly ExchangeRule[] {
  const { repositories, owners, defaultBranch, ttl, maxBytes } = options
  const project = 'gh:{repository...}'
  const main = `${project}:ref/${defaultBranch}`
  const who = { repository: repositories, ...(owners === undefined ? {} : { repository_owner_id: owners }) }
  const rule = (
    match: Readonly<Record<string, readonly string[]>>,
    read: readonly string[],
    write?: string,
  ): ExchangeRule => ({
    match: { ...who, ...match },
    read,
    write,
    operations: write === undefined ? ['pull'] : ['pull', 'push'],
    repositories: { pull: [], push: [] },
    subject: `${project}/run/{run_id}`,
    ttl,
    maxBytes,
  })
  const [request, queue, branch] = [
    `${project}:pr/{number}`,
    `${project}:ref/gh-readonly-queue/{base...}/{entry}`,
    `${project}:ref/{branch...}`,
  ] as const
  return [
    rule(
      { event_name: requestEvents, ref: ['refs/pull/{number}/merge'] },
      [request, `${project}:ref/{base_ref...?}`, main],
      request,
    ),
    rule(
      { event_name: ['merge_group'], ref: ['refs/heads/gh-readonly-queue/{base...}/{entry}'] },
      [queue, `${project}:ref/{base...}`, main],
      queue,
    ),
    rule(
      { event_name: branchEvents, ref_type: ['branch'], ref: ['refs/heads/{branch...}'] },
      [branch, main],
      branch,
    ),
    rule({}, [main]),
  ]
}
