import type { PresetOptions } from './github.ts'
import type { ExchangeRule } from './types.ts'

/** Of gitlab.com; others have the URL of the installation. */
export const gitlabIssuer = 'https://gitlab.com'

/**
 * Pipelines of a branch, which only those start who may push to it or run it. Not among them: `parent_pipeline`, which may be the
 * child of a merge request and says nothing of it.
 */
const branchSources = ['push', 'web', 'schedule', 'api', 'trigger']

/**
 * Rules for jobs of GitLab CI.
 *
 * - a merge request reads itself, its target and the default branch, and writes itself: `pr/<id of its source project>/<source
 *   branch>`, since tokens have no number of it. There `ref` is the *source* branch, which in a fork may be called `main`, and
 *   `project_path` the source project since 18.2; `job_project_path` (18.4) is where the job runs. Older installations tell neither
 *   reliably, so their merge requests write nothing.
 * - a protected branch reads itself and the default branch, and writes itself
 * - a branch that is not protected too, but never the default branch: then anybody who may push anything could write it
 * - everything else (tags, child pipelines) reads the default branch
 * - a job that runs in a project of others gets nothing, be its source project ours
 *
 * @see https://docs.gitlab.com/ci/secrets/id_token_authentication/
 */
export function gitlabRules(options: PresetOptions): readonly ExchangeRule[] {
  const { repositories, owners, defaultBranch, ttl, maxBytes } = options
  const rule = (
    where: 'project' | 'job_project',
    match: Readonly<Record<string, readonly string[]>>,
    read: readonly string[],
    write?: string,
  ): ExchangeRule => {
    const project = `gl:{${where}_path...}`
    const owner = where === 'project' ? 'namespace_id' : 'job_namespace_id'
    return {
      match: {
        [`${where}_path`]: repositories,
        ...(owners === undefined ? {} : { [owner]: owners }),
        ...match,
      },
      read: [...read, `ref/${defaultBranch}`].map((name) => `${project}:${name}`),
      write: write === undefined ? undefined : `${project}:${write}`,
      operations: write === undefined ? ['pull'] : ['pull', 'push'],
      repositories: { pull: [], push: [] },
      subject: `${project}/job/{job_id}`,
      ttl,
      maxBytes,
    }
  }
  const request = 'pr/{project_id}/{ref...}'
  const branch = 'ref/{ref...}'
  const ofBranch = { pipeline_source: branchSources, ref_type: ['branch'] }
  const branchRules = (where: 'project' | 'job_project'): readonly ExchangeRule[] => [
    rule(where, { ...ofBranch, ref_protected: ['true'] }, [branch], branch),
    rule(where, { ...ofBranch, ref_protected: ['false'], ref: [defaultBranch] }, []),
    rule(where, { ...ofBranch, ref_protected: ['false'] }, [branch], branch),
    rule(where, {}, []),
  ]
  return [
    rule(
      'job_project',
      { pipeline_source: ['merge_request_event'], ref_type: ['branch'] },
      [request, 'ref/{target_ref...?}'],
      request,
    ),
    ...branchRules('job_project'),
    // Runs in the project of somebody else, though its source is ours: nothing.
    { ...rule('job_project', {}, []), match: { job_project_path: ['**'] }, read: [] },
    ...branchRules('project'),
  ]
}
