import { HelpRequested } from '@tsbuild/command-line'
import { describe, expect, it } from 'vitest'
import { parseArguments } from '../argv/command-line.ts'
import type { Host } from '../host.ts'
import { memoryHost } from '../test-support/memory-host.ts'
import { buildOptions } from './build-options.ts'
import { type BuildFlags, buildCommand, refuseUnsupported } from './flags.ts'

const parse = (argv: readonly string[], env: Host['env'] = {}, proxies: Record<string, string> = {}) => {
  const command = buildCommand()
  parseArguments(command, argv)
  refuseUnsupported(command)
  return buildOptions(command.args[0] ?? '', command.opts<BuildFlags>(), memoryHost({ env, cwd: '/src' }), {
    proxyArgs: proxies,
  })
}

const plain = {
  context: '.',
  stdin: expect.anything(),
  buildContexts: {},
  secrets: {},
  ssh: {},
  cwd: '/src',
  buildArgs: {},
  tags: [],
  labels: {},
  noCache: false,
  noCacheFilter: [],
  pull: false,
  addHosts: [],
  allow: [],
  ulimits: [],
}

describe('tsbuild build', () => {
  it.each([
    ['.', {}],
    ['-t app:1.0 .', { tags: ['app:1.0'] }],
    ['. -t a --tag=b -t a', { tags: ['a', 'b'] }],
    ['-t=app .', { tags: ['app'] }],
    ['-tapp .', { tags: ['app'] }],
    ['-f docker/Dockerfile .', { dockerfile: 'docker/Dockerfile' }],
    ['--target test .', { target: 'test' }],
    ['--build-arg A=1 --build-arg B=x=y --build-arg C= .', { buildArgs: { A: '1', B: 'x=y', C: '' } }],
    ['--build-arg FROM_ENV --build-arg NOT_THERE .', { buildArgs: { FROM_ENV: 'yes' } }],
    ['--label a=1 --label b .', { labels: { a: '1', b: '' } }],
    ['--platform linux/amd64 .', { platforms: ['linux/amd64'] }],
    ['--platform local .', { platforms: ['local'] }],
    [
      '--platform linux/amd64,linux/arm64 --platform local,linux/amd64 .',
      { platforms: ['linux/amd64', 'linux/arm64', 'local'] },
    ],
    ['--no-cache .', { noCache: true }],
    ['--no-cache=false .', {}],
    ['--no-cache-filter a,b --no-cache-filter c .', { noCacheFilter: ['a', 'b', 'c'] }],
    ['--no-cache --no-cache-filter a .', { noCache: true, noCacheFilter: ['a'] }],
    ['--pull .', { pull: true }],
    ['--pull=true .', { pull: true }],
    ['--network none .', { network: 'none' }],
    ['--add-host a:1.2.3.4 --add-host b:::1 .', { addHosts: ['a:1.2.3.4', 'b:::1'] }],
    ['-o out .', { outputs: [{ type: 'local', dest: '/src/out' }] }],
    ['-t a --push .', { tags: ['a'], outputs: [{ type: 'registry' }] }],
    [
      '-t a -o type=oci,dest=x --push .',
      { tags: ['a'], outputs: [{ type: 'oci', dest: '/src/x' }, { type: 'registry' }] },
    ],
    ['-t a --load .', { tags: ['a'], outputs: [{ type: 'engine' }] }],
    ['-t a -o type=docker,context=x --load .', { tags: ['a'], outputs: [{ type: 'engine', context: 'x' }] }],
    ['-t a -o type=registry --push .', { tags: ['a'], outputs: [{ type: 'registry' }] }],
    ['-o type=registry,name=a .', { outputs: [{ type: 'registry', names: ['a'] }] }],
    ['-t a -o type=image --push .', { tags: ['a'], outputs: [{ type: 'image', push: true }] }],
    ['--annotation index:a=b .', { annotations: [{ level: 'index', key: 'a', value: 'b' }] }],
    ['--allow buildx.local.delete .', { allowOutputs: ['buildx.local.delete'] }],
    ['-q .', { outputs: [{ type: 'image' }] }],
    ['-q -t a .', { tags: ['a'], outputs: [{ type: 'image' }] }],
    ['--iidfile x -o out .', { outputs: [{ type: 'local', dest: '/src/out' }] }],
    ['--build-arg SOURCE_DATE_EPOCH=7 .', { buildArgs: { SOURCE_DATE_EPOCH: '7' } }],
    ['--provenance=false --sbom=false --builder x --rm --force-rm .', {}],
    ['-- .', {}],
    ['-', { context: '-' }],
    ['-f - .', { dockerfile: '-' }],
    ['https://example.test/repo.git#main:sub', { context: 'https://example.test/repo.git#main:sub' }],
    ['--build-context a=b=c --build-context d=. .', { buildContexts: { a: 'b=c', d: '.' } }],
  ])('reads %s', (line, expected) => {
    expect(parse(line.split(' '), { FROM_ENV: 'yes' })).toEqual({ ...plain, ...expected })
  })

  it.each([
    ['', 'ERR_USAGE'],
    ['a b', 'ERR_USAGE'],
    ['--tagg x .', 'ERR_USAGE'],
    ['-Z .', 'ERR_USAGE'],
    ['--tag', 'ERR_USAGE'],
    ['--network bridge .', 'ERR_USAGE'],
    ['--progress fancy .', 'ERR_USAGE'],
    ['--build-arg =x .', 'ERR_USAGE'],
    ['--push .', 'ERR_USAGE'],
    ['-o type=image,push=true .', 'ERR_USAGE'],
    ['--annotation a .', 'ERR_USAGE'],
    ['-q -o - .', 'ERR_USAGE'],
    ['-o - -o type=oci .', 'ERR_USAGE'],
    ['--secret src=x .', 'ERR_USAGE'],
    ['--build-context x .', 'ERR_USAGE'],
    ['--build-context =x .', 'ERR_USAGE'],
    ['--ssh default .', 'ERR_SSH'],
    ['--ssh x=agent,raw=true .', 'ERR_UNSUPPORTED'],
    ['--cache-from type=inline .', 'ERR_USAGE'],
    ['--cache-to type=s3 .', 'ERR_UNSUPPORTED'],
    ['--provenance=mode=most .', 'ERR_USAGE'],
    ['--sbom .', 'ERR_USAGE'],
    ['--attest x .', 'ERR_USAGE'],
  ])('refuses %j with %s', (line, code) => {
    const argv = line === '' ? [] : line.split(' ')
    expect(() => parse(argv)).toThrow(expect.objectContaining({ code }))
  })

  it('suggests the flag that was meant', () => {
    expect(() => parse(['--tagg', 'x', '.'])).toThrow(
      expect.objectContaining({
        message: 'Cannot use flag "--tagg": `tsbuild build` has no such flag',
        hints: ['Did you mean `--tag`?', 'Run `tsbuild build --help` for its flags.'],
      }),
    )
  })

  it('takes SOURCE_DATE_EPOCH from the environment, and the build argument before it', () => {
    const env = { SOURCE_DATE_EPOCH: '5' }
    const epochOf = (argv: readonly string[], given = env) => parse(argv, given).buildArgs?.SOURCE_DATE_EPOCH
    expect(epochOf(['.'])).toBe('5')
    expect(epochOf(['--build-arg', 'SOURCE_DATE_EPOCH=6', '.'])).toBe('6')
    expect(epochOf(['.'], { SOURCE_DATE_EPOCH: '' })).toBeUndefined()
  })

  it("lets --build-arg win over docker's proxies", () => {
    const options = parse(
      ['--build-arg', 'HTTP_PROXY=mine', '.'],
      {},
      { HTTP_PROXY: 'theirs', http_proxy: 'theirs' },
    )
    expect(options.buildArgs).toEqual({ HTTP_PROXY: 'mine', http_proxy: 'theirs' })
  })

  it('asks for help anywhere on the line, 80 columns wide', () => {
    let help = ''
    try {
      parse(['-t', 'x', '.', '--help'])
    } catch (error) {
      if (error instanceof HelpRequested) help = error.text
    }
    expect(help).toContain('Usage: tsbuild build [flags] CONTEXT\n')
    expect(Math.max(...help.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
    expect(help).toContain('--cache-to')
    expect(help).not.toContain('--invoke')
  })
})
