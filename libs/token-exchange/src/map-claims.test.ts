import { describe, expect, it } from 'vitest'
import { type Claims, githubRules, gitlabRules, mapClaims, readExchangeConfig } from './index.ts'
import { expandTemplate } from './template.ts'

const options = {
  repositories: ['acme/*', 'acme/team/**'],
  owners: undefined,
  defaultBranch: 'main',
  ttl: 3600,
  maxBytes: undefined,
}

/** `read, … > write`, or why there is nothing. */
function outcome(rules: ReturnType<typeof githubRules>, claims: Claims): string {
  const mapped = mapClaims(rules, claims)
  if ('reason' in mapped) return mapped.reason
  const { read, write, operations } = mapped
  expect(operations).toEqual(write === undefined ? ['pull'] : ['pull', 'push'])
  return `${read.join(' ')} > ${write ?? '-'}`
}

const nobody = 'no rule is for such a job'

describe('githubRules()', () => {
  const base: Claims = {
    repository: 'acme/app',
    repository_owner_id: '42',
    run_id: '17',
    ref_type: 'branch',
    event_name: 'push',
    ref: 'refs/heads/main',
  }
  const main = 'gh:acme/app:ref/main'
  const onlyMain = `${main} > -`
  it.each<[string, Claims, string]>([
    ['a push to main', {}, `${main} > ${main}`],
    [
      'a push to a branch',
      { ref: 'refs/heads/feature/x' },
      `gh:acme/app:ref/feature/x ${main} > gh:acme/app:ref/feature/x`,
    ],
    [
      'a push to a branch with capitals',
      { ref: 'refs/heads/Main' },
      `gh:acme/app:ref/Main ${main} > gh:acme/app:ref/Main`,
    ],
    ['a schedule', { event_name: 'schedule' }, `${main} > ${main}`],
    [
      'a start by hand',
      { event_name: 'workflow_dispatch', ref: 'refs/heads/dev' },
      `gh:acme/app:ref/dev ${main} > gh:acme/app:ref/dev`,
    ],
    [
      'a pull request',
      { event_name: 'pull_request', ref: 'refs/pull/7/merge', base_ref: 'main', head_ref: 'x' },
      `gh:acme/app:pr/7 ${main} > gh:acme/app:pr/7`,
    ],
    [
      'a pull request of a fork whose branch is main',
      { event_name: 'pull_request', ref: 'refs/pull/7/merge', base_ref: 'main', head_ref: 'main' },
      `gh:acme/app:pr/7 ${main} > gh:acme/app:pr/7`,
    ],
    [
      'a pull request into another branch',
      { event_name: 'pull_request', ref: 'refs/pull/8/merge', base_ref: 'v1/x', head_ref: 'x' },
      `gh:acme/app:pr/8 gh:acme/app:ref/v1/x ${main} > gh:acme/app:pr/8`,
    ],
    [
      'a review of one',
      { event_name: 'pull_request_review', ref: 'refs/pull/7/merge', base_ref: 'main' },
      `gh:acme/app:pr/7 ${main} > gh:acme/app:pr/7`,
    ],
    [
      'a pull request that says no base',
      { event_name: 'pull_request', ref: 'refs/pull/7/merge' },
      `gh:acme/app:pr/7 ${main} > gh:acme/app:pr/7`,
    ],
    [
      'a pull request that was merged',
      { event_name: 'pull_request', ref: 'refs/heads/main', base_ref: 'main' },
      onlyMain,
    ],
    [
      'pull_request_target, which runs on main',
      { event_name: 'pull_request_target', ref: 'refs/heads/main', base_ref: 'main', head_ref: 'evil' },
      onlyMain,
    ],
    ['workflow_run', { event_name: 'workflow_run' }, onlyMain],
    ['a comment', { event_name: 'issue_comment' }, onlyMain],
    ['repository_dispatch', { event_name: 'repository_dispatch' }, onlyMain],
    ['an event that does not exist yet', { event_name: 'pull_request_v2' }, onlyMain],
    ['a release', { event_name: 'release', ref: 'refs/tags/v1', ref_type: 'tag' }, onlyMain],
    ['a tag', { ref: 'refs/tags/v1', ref_type: 'tag' }, onlyMain],
    ['a tag that is called main', { ref: 'refs/tags/main', ref_type: 'tag' }, onlyMain],
    ['a tag that is called refs/heads/main', { ref: 'refs/tags/refs/heads/main', ref_type: 'tag' }, onlyMain],
    ['a branch that says it is a tag', { ref: 'refs/heads/main', ref_type: 'tag' }, onlyMain],
    [
      'a merge queue',
      { event_name: 'merge_group', ref: 'refs/heads/gh-readonly-queue/main/pr-7-0123abc' },
      `gh:acme/app:ref/gh-readonly-queue/main/pr-7-0123abc ${main} > gh:acme/app:ref/gh-readonly-queue/main/pr-7-0123abc`,
    ],
    [
      'a merge queue of another branch',
      { event_name: 'merge_group', ref: 'refs/heads/gh-readonly-queue/v1/x/pr-7-0' },
      `gh:acme/app:ref/gh-readonly-queue/v1/x/pr-7-0 gh:acme/app:ref/v1/x ${main} > gh:acme/app:ref/gh-readonly-queue/v1/x/pr-7-0`,
    ],
    ['a merge group elsewhere', { event_name: 'merge_group' }, onlyMain],
    ['a push event of a pull request', { ref: 'refs/pull/7/merge' }, onlyMain],
    ['the head of a pull request', { event_name: 'pull_request', ref: 'refs/pull/7/head' }, onlyMain],
    [
      'a number that is none',
      { event_name: 'pull_request', ref: 'refs/pull/main/merge' },
      '"gh:acme/app:pr/main" is no scope',
    ],
    [
      'a path for a number',
      { event_name: 'pull_request', ref: 'refs/pull/7/../../ref/main/merge' },
      onlyMain,
    ],
    ['a fork of somebody', { repository: 'evil/app' }, nobody],
    ['a name like ours', { repository: 'acme-evil/app' }, nobody],
    ['a repository with a colon', { repository: 'acme/app:ref' }, nobody],
    ['a branch with a percent sign', { ref: 'refs/heads/100%' }, '"gh:acme/app:ref/100%" is no scope'],
    ['a branch with a colon, which git has not', { ref: 'refs/heads/x:ref/main' }, '"branch" does not fit'],
    ['a branch with dots', { ref: 'refs/heads/x/../main' }, '"branch" does not fit'],
    ['a branch with a line', { ref: 'refs/heads/main\nx' }, '"branch" does not fit'],
    ['a branch with a brace', { ref: 'refs/heads/{x}' }, '"branch" does not fit'],
    ['a branch of 300 characters', { ref: `refs/heads/${'a'.repeat(300)}` }, '"branch" does not fit'],
    ['a run that has no number', { run_id: '' }, 'there is no "run_id"'],
  ])('%s', (_, changes, wanted) => {
    expect(outcome(githubRules(options), { ...base, ...changes })).toBe(wanted)
  })
})

describe('gitlabRules()', () => {
  const base: Claims = {
    project_path: 'acme/app',
    project_id: '4711',
    namespace_id: '42',
    job_project_path: 'acme/app',
    job_project_id: '4711',
    job_namespace_id: '42',
    job_id: '17',
    pipeline_source: 'push',
    ref: 'main',
    ref_type: 'branch',
    ref_path: 'refs/heads/main',
    ref_protected: 'true',
  }
  const nothing = 'the rule for such jobs gives nothing'
  const main = 'gl:acme/app:ref/main'
  const onlyMain = `${main} > -`
  const request = { pipeline_source: 'merge_request_event', ref_protected: 'false' }
  const old = { job_project_path: '' }
  it.each<[string, Claims, string]>([
    ['a push to main, which is protected', {}, `${main} > ${main}`],
    ['a push to main, which is not protected', { ref_protected: 'false' }, onlyMain],
    ['a push to a protected branch', { ref: 'v1/x' }, `gl:acme/app:ref/v1/x ${main} > gl:acme/app:ref/v1/x`],
    [
      'a push to a branch',
      { ref: 'feature', ref_protected: 'false' },
      `gl:acme/app:ref/feature ${main} > gl:acme/app:ref/feature`,
    ],
    ['a schedule', { pipeline_source: 'schedule' }, `${main} > ${main}`],
    [
      'a merge request',
      { ...request, ref: 'feature' },
      `gl:acme/app:pr/4711/feature ${main} > gl:acme/app:pr/4711/feature`,
    ],
    [
      'a merge request into another branch',
      { ...request, ref: 'feature', target_ref: 'v1/x' },
      `gl:acme/app:pr/4711/feature gl:acme/app:ref/v1/x ${main} > gl:acme/app:pr/4711/feature`,
    ],
    [
      'a merge request from main',
      { ...request, target_ref: 'v1' },
      `gl:acme/app:pr/4711/main gl:acme/app:ref/v1 ${main} > gl:acme/app:pr/4711/main`,
    ],
    [
      'a merge request of a fork whose branch is main',
      { ...request, project_path: 'evil/app', project_id: '666', target_ref: 'main' },
      `gl:acme/app:pr/666/main ${main} > gl:acme/app:pr/666/main`,
    ],
    [
      'a merge train',
      { ...request, ref: 'feature', pipeline_source_event: 'merge_train', target_ref: 'main' },
      `gl:acme/app:pr/4711/feature ${main} > gl:acme/app:pr/4711/feature`,
    ],
    [
      'a merge request that says to be protected',
      { ...request, ref_protected: 'true' },
      `gl:acme/app:pr/4711/main ${main} > gl:acme/app:pr/4711/main`,
    ],
    ['a fork, running at home', { project_path: 'evil/app', job_project_path: 'evil/app' }, nothing],
    [
      "a merge request of ours, running in somebody else's project",
      { ...request, job_project_path: 'evil/app' },
      nothing,
    ],
    [
      'a child of the merge request of a fork',
      { ...request, pipeline_source: 'parent_pipeline', project_path: 'evil/app', project_id: '666' },
      onlyMain,
    ],
    ['a child of a merge request', { ...request, pipeline_source: 'parent_pipeline' }, onlyMain],
    ['a tag', { ref: 'v1', ref_type: 'tag', ref_path: 'refs/tags/v1' }, onlyMain],
    ['a tag that is called main', { ref_type: 'tag', ref_path: 'refs/tags/main' }, onlyMain],
    ['an unknown source', { pipeline_source: 'new_event' }, onlyMain],
    [
      'a sub-group',
      { project_path: 'acme/team/x/app', job_project_path: 'acme/team/x/app' },
      'gl:acme/team/x/app:ref/main > gl:acme/team/x/app:ref/main',
    ],
    [
      'a sub-group that was not given',
      { project_path: 'acme/other/app', job_project_path: 'acme/other/app' },
      nothing,
    ],
    ['a project id that is none', { ...request, project_id: 'x' }, '"gl:acme/app:pr/x/main" is no scope'],
    ['an old installation: a push', old, `${main} > ${main}`],
    ['an old installation: a merge request', { ...old, ...request, ref: 'feature' }, onlyMain],
    [
      'an old installation: the fork of somebody, with our project as its own',
      { ...old, ...request },
      onlyMain,
    ],
  ])('%s', (_, changes, wanted) => {
    const claims = Object.fromEntries(
      Object.entries({ ...base, ...changes }).filter(([, value]) => value !== ''),
    )
    expect(outcome(gitlabRules(options), claims)).toBe(wanted)
  })

  it('holds jobs to the owners whose ids were given', () => {
    const rules = gitlabRules({ ...options, owners: ['42'] })
    expect(outcome(rules, base)).toBe(`${main} > ${main}`)
    expect(outcome(rules, { ...base, job_namespace_id: '43' })).toBe(nothing)
  })
})

describe('expandTemplate()', () => {
  it.each([
    ['{a}', { text: 'x' }],
    ['{a}/{b...}', { text: 'x/y/z' }],
    ['{b}', { unfit: 'b' }],
    ['{none}', { missing: 'none' }],
    ['{none?}', undefined],
    ['p:{none...?}', undefined],
    ['{colon...}', { unfit: 'colon' }],
    ['{dots...}', { unfit: 'dots' }],
    ['{ends...}', { unfit: 'ends' }],
    ['{star}', { unfit: 'star' }],
    ['{hidden}', { unfit: 'hidden' }],
    ['{toString}', { missing: 'toString' }],
    ['{__proto__}', { missing: '__proto__' }],
    ['plain', { text: 'plain' }],
  ])('%s', (template, wanted) => {
    const values = {
      a: 'x',
      b: 'y/z',
      colon: 'a:b',
      dots: 'a/../b',
      ends: 'a/',
      star: '*',
      hidden: 'a\u200bb',
    }
    expect(expandTemplate(template, values)).toEqual(wanted)
  })

  it('puts a claim in once: what it holds is no template', () => {
    expect(expandTemplate('{a}', { a: '$&', b: 'x' })).toEqual({ text: '$&' })
    expect(expandTemplate('{a}{b}', { a: '{b}', b: 'x' })).toEqual({ unfit: 'a' })
  })
})

describe('readExchangeConfig()', () => {
  const rule = { match: { sub: 'x' }, read: ['a:ref/main'] }
  const own = { issuer: 'https://ci.example', audience: 'cache', rules: [rule] }
  const github = { preset: 'github', audience: 'cache', repositories: ['acme/*'] }

  it('reads presets and rules', () => {
    const [first, second] = readExchangeConfig(
      [
        github,
        { ...own, audience: ['a', 'b'], rules: [{ ...rule, ttl: '10m', maxBytes: 5, subject: 's-{sub}' }] },
      ],
      'f',
    )
    expect(first).toMatchObject({
      issuer: 'https://token.actions.githubusercontent.com',
      audiences: ['cache'],
      keys: undefined,
      once: false,
    })
    expect(first?.rules).toHaveLength(4)
    expect(second).toEqual({
      issuer: 'https://ci.example',
      audiences: ['a', 'b'],
      keys: undefined,
      once: false,
      rules: [
        {
          match: { sub: ['x'] },
          read: ['a:ref/main'],
          write: undefined,
          operations: ['pull'],
          repositories: { pull: [], push: [] },
          subject: 's-{sub}',
          ttl: 600,
          maxBytes: 5,
        },
      ],
    })
  })

  it('gives images by patterns that claims are put into', () => {
    const [issuer] = readExchangeConfig(
      [
        {
          ...own,
          rules: [
            {
              match: { repository: '{project...}' },
              operations: ['push'],
              repositories: { push: ['{project...}/**'] },
            },
          ],
        },
      ],
      'f',
    )
    expect(mapClaims(issuer?.rules ?? [], { sub: 's', repository: 'acme/app' })).toMatchObject({
      repositories: { pull: [], push: ['acme/app/**'] },
    })
    for (const repository of ['**', 'acme/*', 'acme/{x}', 'a//b'])
      expect(mapClaims(issuer?.rules ?? [], { sub: 's', repository })).toEqual({
        reason: '"project" does not fit',
      })
  })

  it.each<[unknown, string]>([
    [null, 'oidc: expected a list'],
    [{}, 'oidc: expected a list'],
    [[1], 'oidc[0]: expected an object'],
    [[{ ...github, preset: 'gitea' }], 'oidc[0].preset: expected "github" or "gitlab"'],
    [[{ ...github, repositories: undefined }], 'oidc[0].repositories: expected a list'],
    [[{ ...github, repositories: [] }], 'oidc[0].repositories: expected at least one'],
    [[{ ...github, rules: [] }], 'oidc[0].rules: expected one of issuer, audience, '],
    [[{ ...github, audience: undefined }], 'oidc[0].audience: expected a list'],
    [[{ ...github, ttl: '2d' }], 'oidc[0].ttl: expected a time from 1m to 24h'],
    [[{ ...github, ttl: 3600 }], 'oidc[0].ttl: expected a text'],
    [[{ ...github, issuer: 'http://ci.example' }], 'oidc[0].issuer: expected an https URL'],
    [[{ ...github, keys: 'file:///keys' }], 'oidc[0].keys: expected an https URL'],
    [[github, github], 'oidc[1].issuer: another entry is of the same issuer'],
    [[{ ...own, rules: [{ ...rule, match: {} }] }], 'oidc[0].rules[0].match: a rule that fits every job'],
    [
      [{ ...own, rules: [{ ...rule, write: 'a:ref/{x' }] }],
      'oidc[0].rules[0].write: a brace that belongs to no {name}',
    ],
    [
      [{ ...own, rules: [{ ...rule, operations: ['root'] }] }],
      'oidc[0].rules[0].operations[0]: expected pull, push, delete, admin',
    ],
    [
      [{ ...own, rules: [{ ...rule, maxBytes: -1 }] }],
      'oidc[0].rules[0].maxBytes: expected a number of bytes',
    ],
    [[{ ...own, once: 'yes' }], 'oidc[0].once: expected true or false'],
    [
      [{ ...own, rules: [{ ...rule, repositories: { delete: [] } }] }],
      'oidc[0].rules[0].repositories.delete: expected one of pull, push',
    ],
  ])('refuses %j', (value, why) => {
    expect(() => readExchangeConfig(value, 'server.toml')).toThrowError(
      expect.objectContaining({
        code: 'ERR_CONFIG',
        message: expect.stringContaining(`Cannot use configuration "server.toml": ${why}`),
      }),
    )
  })
})
