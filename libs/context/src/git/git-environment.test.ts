import { describe, expect, it } from 'vitest'
import { gitEnvironment } from './git-environment.ts'

const env = {
  PATH: '/bin',
  HOME: '/home/me',
  SSH_AUTH_SOCK: '/run/agent',
  HTTPS_PROXY: 'http://proxy',
  no_proxy: 'h',
  GIT_SSL_CAINFO: '/ca.pem',
  GIT_DIR: '/x',
  GIT_EXEC_PATH: '/x',
  GIT_EXTERNAL_DIFF: '/x',
  LD_PRELOAD: '/x.so',
  GIT_CONFIG_PARAMETERS: "'core.fsmonitor=x'",
  AWS_SECRET_ACCESS_KEY: 'x',
}

/** The configuration that git reads from an environment. */
function configOf(given: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  return new Map(
    Array.from({ length: Number(given.GIT_CONFIG_COUNT) }, (_, index) => [
      given[`GIT_CONFIG_KEY_${index}`] ?? '',
      given[`GIT_CONFIG_VALUE_${index}`] ?? '',
    ]),
  )
}

describe('gitEnvironment()', () => {
  it('hands on where programs, proxies, authorities and the agent are, and nothing else', () => {
    const given = gitEnvironment({ env, home: '/scratch/a' })
    expect(given).toMatchObject({
      PATH: '/bin',
      SSH_AUTH_SOCK: '/run/agent',
      HTTPS_PROXY: 'http://proxy',
      no_proxy: 'h',
      GIT_SSL_CAINFO: '/ca.pem',
      HOME: '/scratch/a',
      GIT_CEILING_DIRECTORIES: '/scratch',
    })
    expect(Object.values(given).filter((value) => value.includes('/x'))).toEqual([])
    expect(Object.keys(given)).not.toContain('AWS_SECRET_ACCESS_KEY')
    expect(Object.keys(given)).not.toContain('GIT_CONFIG_PARAMETERS')
  })

  it('lets no configuration of the machine count, asks nobody, and runs no hook, monitor or credential helper', () => {
    const given = gitEnvironment({ env, home: '/h' })
    expect(given).toMatchObject({
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_ATTR_NOSYSTEM: '1',
      GIT_TERMINAL_PROMPT: '0',
      GIT_ASKPASS: '',
    })
    expect(Object.fromEntries(configOf(given))).toMatchObject({
      'core.hooksPath': '/dev/null',
      'core.fsmonitor': 'false',
      'credential.helper': '',
      'transfer.fsckObjects': 'true',
      'fetch.unpackLimit': '1',
      'http.lowSpeedTime': '60',
    })
  })

  it.each([
    [undefined, ''],
    ['https', 'https'],
    ['http', 'http:https'],
    ['ssh', 'ssh'],
    ['git', 'git'],
    ['file', 'file'],
  ] as const)('for %s allows the protocols "%s"', (transport, protocols) => {
    expect(gitEnvironment({ env, home: '/h', transport }).GIT_ALLOW_PROTOCOL).toBe(protocols)
  })

  it('adds configuration, which comes last and so counts', () => {
    const config = [['http.followRedirects', 'false'] as const]
    expect([...configOf(gitEnvironment({ env, home: '/h', config })).keys()].at(-1)).toBe(
      'http.followRedirects',
    )
  })
})
