import { isBuildError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import type { Mount } from './mount.ts'
import { parseDockerfile } from './parse.ts'
import { parseMount } from './parse-mount.ts'

function mount(text: string): Mount {
  const [, run] = parseDockerfile(`FROM a\nRUN --mount=${text} x`, 'Dockerfile').instructions
  const flag = run?.kind === 'run' ? run.mounts[0] : undefined
  if (flag === undefined) throw new Error('no mount')
  return parseMount(flag, { expand: (value) => value.replaceAll('$T', 'tmpfs') })
}

describe('parseMount()', () => {
  it.each<[string, object]>([
    ['target=/a', { type: 'bind', target: '/a', source: '', from: null, readOnly: true }],
    [
      'type=bind,dst=/a,src=b,from=c,rw',
      { type: 'bind', target: '/a', source: 'b', from: 'c', readOnly: false },
    ],
    ['TYPE=Bind,destination=/a,readonly=0', { type: 'bind', readOnly: false }],
    [
      'type=cache,target=/a',
      { type: 'cache', id: null, sharing: 'shared', readOnly: false, mode: null, uid: null, gid: null },
    ],
    [
      'type=cache,target=a,id=x,sharing=Locked,mode=0700,uid=1,gid=2,ro',
      { id: 'x', sharing: 'locked', mode: 0o700, uid: 1, gid: 2, readOnly: true },
    ],
    ['type=$T,target=/a,size=1.5m', { type: 'tmpfs', sizeBytes: 1_572_864 }],
    ['type=secret,id=a/b', { type: 'secret', id: 'a/b', target: null, env: null, required: false }],
    [
      'type=secret,target=/x/key.pem,required=true,env=KEY',
      { id: 'key.pem', target: '/x/key.pem', required: true, env: 'KEY' },
    ],
    ['type=secret,source=s,env=TOKEN,required', { id: 's', env: 'TOKEN', required: true }],
    ['type=secret,id=a,cache=content', { type: 'secret', id: 'a', cache: 'content' }],
    ['type=secret,id=a', { type: 'secret', cache: null }],
    ['source=x', { type: 'bind', target: '', source: 'x' }],
    ['type=ssh', { type: 'ssh', id: 'default', target: null, required: false }],
    ['type=ssh,id=k,target=/s,mode=0600', { id: 'k', target: '/s', mode: 0o600 }],
  ])('reads %j', (text, expected) => {
    expect(mount(text)).toMatchObject(expected)
  })

  it.each([
    ['typ=tmpfs', "unexpected key 'typ' in 'typ=tmpfs'"],
    ['type=tmp,target=/a', 'unsupported mount type "tmp"'],
    ['type=cache,target=/a,sharing=lock', 'unsupported sharing value "lock"'],
    ['target=/a,ro=yes', 'invalid value for ro: yes'],
    ['target=/a,foo', "invalid field 'foo' must be a key=value pair"],
    ['target=/a,mode=0700', 'mode not allowed for "bind" type mounts'],
    ['type=tmpfs,target=/a,uid=1', 'uid not allowed for "tmpfs" type mounts'],
    ['type=cache,target=/a,mode=9', 'invalid value 9 for mode'],
    ['type=cache,target=/a,uid=4294967296', 'invalid value 4294967296 for uid'],
    ['type=cache,target=/a,size=1', "unexpected key 'size' for mount type 'cache'"],
    ['type=tmpfs,target=/a,size=big', 'invalid value for size: big'],
    ['type=bind,target=/a,required', "unexpected key 'required' for mount type 'bind'"],
    ['type=secret,id=a,sharing=locked', 'secret mount should not define sharing'],
    ['type=secret,id=a,from=b', 'secret mount should not have a from'],
    ['type=secret,id=a,source=b', "both source and id can't be set"],
    ['type=secret,id=a,cache=value', 'invalid value for cache: value'],
    ['type=secret,id=a,cache', "invalid field 'cache' must be a key=value pair"],
    ['type=cache,target=/a,cache=content', "unexpected key 'cache' for mount type 'cache'"],
    ['type=secret', 'invalid secret mount. one of source, target required'],
    ['target=/a,sharing=shared', 'invalid cache sharing set for bind mount'],
    ['type=ssh,source=a', 'ssh does not support source'],
    ['target=/a,env=A', 'env not allowed for "bind" type mounts'],
    ['target=/a,id=b', 'id not allowed for "bind" type mounts'],
    ['type=tmpfs,target=/a,source=b', 'source not allowed for "tmpfs" type mounts'],
    ['type=tmpfs,target=/a,from=b', 'from not allowed for "tmpfs" type mounts'],
    ['type=ssh,from=b', 'from not allowed for "ssh" type mounts'],
    ['type=secret,id=a,env=', 'invalid value for env: '],
    ['type=secret,id=a,env=A=B', 'invalid value for env: A=B'],
    ['target=/a,bind-propagation=suid', "unexpected key 'bind-propagation' in 'bind-propagation=suid'"],
    ['type=bind,,target=/a', "invalid field '' must be a key=value pair"],
    ['target=/a,target=/a', "'target' after 'target', which says it already"],
    ['target=/a,src=b,source=b', "'source' after 'src', which says it already"],
    ['target=/a,ro,rw', "'rw' after 'ro', which says it already"],
    ['target=/a,dst=/b', "'dst' after 'target', which says it already"],
    ['target=/a,Typ=B', "unexpected key 'typ' in 'Typ=B'"],
    ['target=/a,FOO', "invalid field 'FOO' must be a key=value pair"],
  ])('refuses %j', (text, message) => {
    let caught: unknown
    try {
      mount(text)
    } catch (error) {
      caught = error
    }
    expect(isBuildError(caught) && `${caught.code} ${caught.message}`).toContain(
      'ERR_DOCKERFILE_MOUNT_OPTION',
    )
    expect(isBuildError(caught) && caught.message).toContain(message)
  })
})

describe('2.1 mounts, syntax', () => {
  const hintsOf = (text: string) => {
    try {
      mount(text)
    } catch (error) {
      return isBuildError(error) ? error.hints : []
    }
    return []
  }

  it('CSV of key[=value], quoted fields', () => {
    expect(mount('\'"source=a,b",target=/c,ro\'')).toMatchObject({
      source: 'a,b',
      target: '/c',
      readOnly: true,
    })
  })

  it('keys and types in any case; type default bind', () => {
    expect(mount('TARGET=/a')).toMatchObject({ type: 'bind', target: '/a' })
    expect(mount('Type=TmpFS,target=/a').type).toBe('tmpfs')
  })

  it('unknown key: did you mean type?', () => {
    expect(hintsOf('typ=tmpfs')).toEqual(['Did you mean `type`?'])
    expect(hintsOf('bind-propagation=rw,dev,exec')).toEqual([
      expect.stringMatching(/^Use one of `type`, `from`, .*`cache`\.$/),
    ])
  })

  it('a bad value: what a good one looks like', () => {
    expect(hintsOf('type=tmpfs,target=/a,size=12zb')).toEqual([expect.stringContaining('`64m`')])
    expect(hintsOf('type=cache,target=/a,mode=999')).toEqual([expect.stringContaining('`0755`')])
    expect(hintsOf('type=cache,target=/a,uid=www')).toEqual([expect.stringContaining('number')])
    expect(hintsOf('target=/a,rw=perhaps')).toEqual(['Use `true` or `false`.'])
  })

  it('unknown type: did you mean tmpfs?', () => {
    expect(hintsOf('type=tmp,target=/a')).toEqual(['Did you mean `tmpfs`?'])
    expect(hintsOf('type=volume,target=/a')).toEqual([
      'Use one of `bind`, `cache`, `tmpfs`, `secret`, `ssh`.',
    ])
  })

  it('bool keys bare or true, false, 1, 0', () => {
    const readOnly = (text: string) => {
      const read = mount(`target=/a,${text}`)
      return read.type === 'bind' && read.readOnly
    }
    expect(['ro', 'ro=true', 'readonly=1', 'rw=false', 'readwrite=0'].map(readOnly)).toEqual(
      Array(5).fill(true),
    )
    expect(['rw', 'rw=true', 'ro=0', 'readonly=false'].map(readOnly)).toEqual(Array(4).fill(false))
  })

  it('mode octal', () => {
    expect(mount('type=cache,target=/a,mode=01777')).toMatchObject({ mode: 0o1777 })
  })

  it('values expanded, even type; from not', () => {
    const [, run] = parseDockerfile('FROM a\nRUN --mount=type=$T,from=a$,target=$D x', 'D').instructions
    const flag = run?.kind === 'run' ? run.mounts[0] : undefined
    if (flag === undefined) throw new Error('no mount')
    const asked: string[] = []
    const expand = (value: string) => {
      asked.push(value)
      return value === '$T' ? 'bind' : value
    }
    expect(parseMount(flag, { expand })).toMatchObject({ type: 'bind', from: 'a$' })
    expect(asked).toEqual(['$T', '$D'])
  })

  it('size in units, as Docker writes them', () => {
    const size = (text: string) => {
      const read = mount(`type=tmpfs,target=/a,size=${text}`)
      return read.type === 'tmpfs' ? read.sizeBytes : null
    }
    expect(['1', '1k', '1KiB', '1.5m', '.5g', '1e3'].map(size)).toEqual([
      1, 1024, 1024, 1_572_864, 536_870_912, 1000,
    ])
  })
})
