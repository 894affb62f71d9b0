import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isBuildError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import type { Host } from '../host.ts'
import { memoryHost } from '../test-support/memory-host.ts'
import { cacheAttributes } from './cache-attributes.ts'
import { type CacheDefaults, cacheOptions } from './cache-options.ts'
import { parseCacheSource, parseCacheTarget } from './cache-spec.ts'

const hostWith = (env: Host['env'] = {}) => memoryHost({ env, cwd: '/src' })
const hex = 'a'.repeat(64)

describe('parseCacheSource()', () => {
  it.each([
    ['app:cache', [{ type: 'registry', ref: 'docker.io/library/app:cache' }]],
    [
      'r.io/a, r.io/b:1',
      [
        { type: 'registry', ref: 'r.io/a:latest' },
        { type: 'registry', ref: 'r.io/b:1' },
      ],
    ],
    ['type=registry,ref=r.io/a', [{ type: 'registry', ref: 'r.io/a:latest' }]],
    [`type=registry,ref=r.io/a@sha256:${hex}`, [{ type: 'registry', ref: `r.io/a@sha256:${hex}` }]],
    [
      'type=registry,ref=r.io/a,registry.insecure=true',
      [{ type: 'registry', ref: 'r.io/a:latest', insecure: true }],
    ],
    ['TYPE=local,Src=c', [{ type: 'local', src: '/src/c' }]],
    ['type=local,"src=a,b"', [{ type: 'local', src: '/src/a,b' }]],
    ['type=local,src=~/c', [{ type: 'local', src: '/src/~/c' }]],
    [
      `type=local,src=/c,tag=x,digest=sha256:${hex}`,
      [{ type: 'local', src: '/c', tag: 'x', digest: `sha256:${hex}` }],
    ],
    [
      'type=server,url=http://c:1,registry.insecure=true',
      [{ type: 'server', url: 'http://c:1', insecure: true }],
    ],
    ['type=server,url=http://127.0.0.1:1/', [{ type: 'server', url: 'http://127.0.0.1:1' }]],
    [
      'type=server,url=https://c/base,keys=k',
      [{ type: 'server', url: 'https://c/base', policy: { file: '/src/k' } }],
    ],
  ])('reads %j', (text, expected) => {
    expect(parseCacheSource(text, hostWith())).toEqual(expected)
  })

  it.each([
    ['', 'it is empty'],
    ['ref=a', 'type is missing'],
    ['type=registry', 'type "registry" needs ref=NAME'],
    ['type=registry,ref=A//b', '"A//b" is no reference of a registry'],
    ['type=registry,ref=a,mode=max', 'type "registry" takes no mode in --cache-from'],
    ['type=inline', 'an inline cache is read from its image'],
    ['type=local', 'type "local" needs src=DIR'],
    ['type=local,dest=a', 'type "local" takes no dest in --cache-from'],
    ['type=local,src=a,digest=sha256:1', 'digest is sha256: and 64 hex digits, got "sha256:1"'],
    ['type=registry,ref=a,registry.insecure=maybe', 'registry.insecure is true or false, got "maybe"'],
    ['type=server', 'type "server" needs url=URL'],
    ['type=server,url=ftp://x', 'url begins with https:// or http://'],
    ['type=server,url=https://x?a', 'url has a part after "?" or "#"'],
    ['type=server,url=https://x,oidc=azure', 'oidc is github or gitlab, got "azure"'],
    ['type=server,url=https://x,oidc=github', 'ACTIONS_ID_TOKEN_REQUEST_URL is not set'],
    ['type=server,url=https://x,oidc=gitlab', 'TSBUILD_ID_TOKEN is not set'],
    ['type=server,url=https://x,oidc=gitlab,token-file=x', 'of token, token-file and oidc there can be one'],
  ])('refuses %j', (text, state) => {
    const message = text === '' ? `Cannot parse cache "": ${state}` : `Cannot parse cache "${text}": ${state}`
    expect(() => parseCacheSource(text, hostWith())).toThrow(
      expect.objectContaining({ code: 'ERR_USAGE', message }),
    )
  })

  it('proposes the name that was meant', () => {
    expect(hintsOf('type=registri,ref=x')).toEqual(['Did you mean `registry`?'])
    expect(hintsOf('type=registry,rf=x')).toEqual(['Did you mean `ref`?'])
    expect(hintsOf('http://127.0.0.1:7070')).toEqual(['A cache-server is `type=server,url=URL`.'])
    expect(hintsOf('./cache')).toEqual(['A directory is `type=local,src=DIR`.'])
    expect(hintsOf('type=server,url=127.0.0.1:7070')).toEqual(['For example `url=http://127.0.0.1:7070`.'])
    expect(hintsOf('type=local,dest=x')).toEqual(['The directory that is read is `src`.'])
  })

  it.each(['gha', 's3,bucket=b', 'azblob,name=n'])('says that type=%s is not supported', (rest) => {
    expect(() => parseCacheSource(`type=${rest}`, hostWith())).toThrow(
      expect.objectContaining({ code: 'ERR_UNSUPPORTED' }),
    )
  })

  it('shows no token in any message', () => {
    const texts = [
      'type=server,url=ftp://x,token=s3cret',
      'type=server,"token=s3cret",url=https://x,oidc=github',
      'type=server,token=s3cret,url=https://x,"',
      'type=server,url=https://jo:s3cret@x',
      'type=gha,token=s3cret',
      'Token = s3cret',
    ]
    for (const text of texts) {
      const error = thrownBy(() => parseCacheSource(text, hostWith()))
      expect(error).toBeDefined()
      expect(JSON.stringify([error?.message, error?.hints])).not.toContain('s3cret')
    }
  })

  it('reads a token when it is wanted, from the flag, a file or the environment', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tsb-backends-token-'))
    try {
      const path = join(folder, 'token')
      const tokenOf = async (text: string, env: Host['env'] = {}) => {
        const [source] = parseCacheSource(`type=server,url=https://x${text}`, hostWith(env))
        return source?.type === 'server' ? await source.token?.() : undefined
      }
      expect(await tokenOf('')).toBeUndefined()
      expect(await tokenOf(',token=a')).toBe('a')
      expect(await tokenOf('', { TSBUILD_CACHE_TOKEN: 'b' })).toBe('b')
      await expect(tokenOf(`,token-file=${path}`)).rejects.toMatchObject({ code: 'ERR_SECRET' })
      await writeFile(path, 'c\n')
      expect(await tokenOf(`,token-file=${path}`, { TSBUILD_CACHE_TOKEN: 'b' })).toBe('c')
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('takes what a CI job proves itself with from its environment', () => {
    const github = { ACTIONS_ID_TOKEN_REQUEST_URL: 'https://r', ACTIONS_ID_TOKEN_REQUEST_TOKEN: 't' }
    expect(parseCacheSource('type=server,url=https://x,oidc=github', hostWith(github))).toEqual([
      {
        type: 'server',
        url: 'https://x',
        identity: { provider: 'github', requestUrl: 'https://r', requestToken: 't' },
      },
    ])
    const gitlab = { TSBUILD_ID_TOKEN: 't' }
    expect(parseCacheSource('type=server,url=https://x,oidc=gitlab', hostWith(gitlab))).toEqual([
      { type: 'server', url: 'https://x', identity: { provider: 'gitlab', idToken: 't' } },
    ])
  })
})

describe('parseCacheTarget()', () => {
  it.each([
    ['app:cache', { type: 'registry', ref: 'docker.io/library/app:cache' }],
    ['type=inline', { type: 'inline' }],
    ['type=inline,mode=min,ignore-error=true', { type: 'inline', mode: 'min', ignoreError: true }],
    [
      'type=registry,ref=r.io/a:c,mode=max,image-manifest=false,oci-mediatypes=false,ignore-error=false',
      {
        type: 'registry',
        ref: 'r.io/a:c',
        mode: 'max',
        imageManifest: false,
        ociMediaTypes: false,
        ignoreError: false,
      },
    ],
    [
      'type=registry,ref=r.io/a:c,compression=zstd,force-compression=true,registry.insecure=1',
      {
        type: 'registry',
        ref: 'r.io/a:c',
        insecure: true,
        compression: { format: 'zstd', level: 3 },
        forceCompression: true,
      },
    ],
    [
      'type=local,dest=c,tag=t,reset=true,compression=uncompressed',
      {
        type: 'local',
        dest: '/src/c',
        tag: 't',
        reset: true,
        compression: { format: 'none', level: 0 },
      },
    ],
    [
      'type=local,dest=c,compression-level=9',
      { type: 'local', dest: '/src/c', compression: { format: 'gzip', level: 9 } },
    ],
    [
      'type=server,url=https://x,mode=min,compression=estargz',
      {
        type: 'server',
        url: 'https://x',
        mode: 'min',
        compression: { format: 'estargz', level: 9 },
      },
    ],
  ])('reads %j', (text, expected) => {
    expect(parseCacheTarget(text, hostWith())).toEqual([expected])
  })

  it.each([
    'type=inline,mode=max',
    'type=inline,ref=x',
    'type=local',
    'type=local,src=x',
    'type=registry,mode=max',
    'type=registry,ref=x,mode=all',
    'type=registry,ref=x,image-manifest=true,oci-mediatypes=false',
    'type=registry,ref=x,compression=zstd,oci-mediatypes=false',
    'type=registry,ref=x,compression=gzip,compression-level=10',
    'type=registry,ref=x,compression=uncompressed,compression-level=1',
    'type=registry,ref=x,reset=true',
    'type=server,url=https://x,force-compression=true',
  ])('refuses %j', (text) => {
    expect(() => parseCacheTarget(text, hostWith())).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  })

  it('refuses nydus as outputs do', () => {
    expect(() => parseCacheTarget('type=registry,ref=x,compression=nydus', hostWith())).toThrow(
      expect.objectContaining({ code: 'ERR_UNSUPPORTED' }),
    )
  })
})

describe('cacheOptions()', () => {
  const refs = (flags: Parameters<typeof cacheOptions>[0], env: Host['env'], config?: CacheDefaults) =>
    cacheOptions(flags, hostWith(env), config).cacheFrom?.map((source) => 'ref' in source && source.ref)

  it('takes the flags, else the environment, else the configuration', () => {
    const env = { TSBUILD_CACHE_FROM: 'r.io/e:1\n ;r.io/f:1' }
    const config = { cacheFrom: ['r.io/c:1'] }
    expect(refs({ cacheFrom: ['r.io/a:1'] }, env, config)).toEqual(['r.io/a:1'])
    expect(refs({}, env, config)).toEqual(['r.io/e:1', 'r.io/f:1'])
    expect(refs({}, { TSBUILD_CACHE_FROM: '' }, config)).toEqual(['r.io/c:1'])
    expect(refs({}, {})).toBeUndefined()
    const to = cacheOptions({}, hostWith({ TSBUILD_CACHE_TO: 'type=inline' }), { cacheTo: ['r.io/c:1'] })
    expect(to.cacheTo).toEqual([{ type: 'inline' }])
  })

  it('requires caches where a flag, a variable or the configuration says so', () => {
    const required = (flags: Parameters<typeof cacheOptions>[0], value: string, config?: boolean) =>
      cacheOptions(flags, hostWith({ TSBUILD_CACHE_REQUIRED: value }), {
        ...(config === undefined ? {} : { cacheRequired: config }),
      }).cacheRequired
    expect(required({}, '')).toBeUndefined()
    expect(required({ cacheRequired: true }, 'false')).toBe(true)
    expect(required({}, 'true')).toBe(true)
    expect(required({}, '', true)).toBe(true)
    expect(required({}, 'false', true)).toBeUndefined()
    expect(() => required({}, 'perhaps')).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }))
  })

  it('refuses two exports to one place', () => {
    const twice = (...cacheTo: string[]) => cacheOptions({ cacheTo }, hostWith())
    expect(() => twice('r.io/a', 'type=registry,ref=r.io/a:latest,mode=max')).toThrow('it is given twice')
    expect(() => twice('type=local,dest=a', 'type=local,dest=/src/a,tag=latest')).toThrow('it is given twice')
    expect(twice('type=local,dest=a', 'type=local,dest=a,tag=b').cacheTo).toHaveLength(2)
  })
})

it('every attribute of spec/interface.md 5.3 is known', () => {
  const names = (direction: 'from' | 'to', type: 'registry' | 'local' | 'inline') =>
    cacheAttributes.filter((one) => one[direction].includes(type)).map(({ name }) => name)
  const layers = ['compression', 'compression-level', 'force-compression', 'image-manifest', 'oci-mediatypes']
  expect(names('to', 'registry').sort()).toEqual(
    [...layers, 'ignore-error', 'mode', 'ref', 'registry.insecure'].sort(),
  )
  expect(names('to', 'local').sort()).toEqual(
    [...layers, 'dest', 'ignore-error', 'mode', 'reset', 'tag'].sort(),
  )
  expect(names('to', 'inline').sort()).toEqual(['ignore-error', 'mode'])
  expect(names('from', 'registry').sort()).toEqual(['ref', 'registry.insecure'])
  expect(names('from', 'local').sort()).toEqual(['digest', 'src', 'tag'])
})

function thrownBy(body: () => unknown) {
  try {
    body()
  } catch (error) {
    if (isBuildError(error)) return error
  }
  return undefined
}

function hintsOf(text: string): readonly string[] | undefined {
  return thrownBy(() => parseCacheSource(text, hostWith()))?.hints
}
