import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { parseOutput } from './output-spec.ts'

const stdout = new PassThrough()
const targets = { cwd: '/src', stdout }

describe('parseOutput()', () => {
  it.each([
    ['out', [{ type: 'local', dest: '/src/out' }]],
    ['a=b', [{ type: 'local', dest: '/src/a=b' }]],
    ['type=local,dest=/abs', [{ type: 'local', dest: '/abs' }]],
    ['type=oci,dest=x.tar', [{ type: 'oci', dest: '/src/x.tar' }]],
    ['type=docker,dest=x.tar', [{ type: 'docker', dest: '/src/x.tar' }]],
    ['type=docker', [{ type: 'engine' }]],
    ['type=docker,context=x', [{ type: 'engine', context: 'x' }]],
    ['type=tar,dest=x.tar', [{ type: 'tar', dest: '/src/x.tar' }]],
    ['type=registry', [{ type: 'registry' }]],
    ['type=image', [{ type: 'image' }]],
    ['type=image,push=true', [{ type: 'image' }, { type: 'registry' }]],
    ['type=image,push=false,oci-mediatypes=true', [{ type: 'image' }]],
    ['type=cacheonly', [{ type: 'cacheonly' }]],
    [
      'type=oci,dest=x,compression=zstd,compression-level=22',
      [{ type: 'oci', dest: '/src/x', compression: { type: 'zstd', level: 22 } }],
    ],
    ['type=registry,compression=uncompressed', [{ type: 'registry', compression: { type: 'uncompressed' } }]],
    ['type=image,compression-level=0', [{ type: 'image', compression: { type: 'gzip', level: 0 } }]],
    ['"type=oci","dest=a,b"', [{ type: 'oci', dest: '/src/a,b' }]],
    ['', 'ERR_USAGE'],
    ['dest=x', 'ERR_USAGE'],
    ['type=oic,dest=x', 'ERR_USAGE'],
    ['type=oci,dst=x', 'ERR_USAGE'],
    ['type=oci,dest', 'ERR_USAGE'],
    ['type=oci,dest=', 'ERR_USAGE'],
    ['type=local', 'ERR_USAGE'],
    ['type=local,dest=-', 'ERR_USAGE'],
    ['type=local,dest=x,compression=gzip', 'ERR_USAGE'],
    ['type=local,dest=x,name=y', 'ERR_USAGE'],
    ['type=image,dest=x', 'ERR_USAGE'],
    ['type=oci,dest=x,push=true', 'ERR_USAGE'],
    ['type=image,push=perhaps', 'ERR_USAGE'],
    ['type=image,compression=gzip,compression-level=10', 'ERR_USAGE'],
    ['type=image,compression=zstd,compression-level=23', 'ERR_USAGE'],
    ['type=image,compression=gzip,compression-level=-1', 'ERR_USAGE'],
    ['type=image,compression=uncompressed,compression-level=1', 'ERR_USAGE'],
    ['type=image,compression=lz4', 'ERR_USAGE'],
    ['type=image,compression=estargz', 'ERR_UNSUPPORTED'],
    ['type=docker,context=x,dest=y', 'ERR_USAGE'],
    ['type=oci,context=x', 'ERR_USAGE'],
    ['type=oci,dest=x,tar=false', 'ERR_UNSUPPORTED'],
    ['type=image,push-by-digest=true', 'ERR_UNSUPPORTED'],
    ['type=image,annotation.a=b', 'ERR_UNSUPPORTED'],
  ])('reads %j', (text, expected) => {
    if (typeof expected === 'string') {
      expect(() => parseOutput(text, targets)).toThrow(expect.objectContaining({ code: expected }))
    } else expect(parseOutput(text, targets)).toEqual({ specs: expected, names: [] })
  })

  it('reads names as further tags', () => {
    expect(parseOutput('type=image,"name=a:1,b:2"', targets).names).toEqual(['a:1', 'b:2'])
  })

  it.each(['-', 'type=tar', 'type=tar,dest=-', 'type=oci', 'type=docker,dest=-'])(
    'sends %j to standard output, unless that is a terminal',
    (text) => {
      expect(parseOutput(text, targets).specs[0]).toHaveProperty('dest', stdout)
      const terminal = { cwd: '/src', stdout: Object.assign(new PassThrough(), { isTTY: true }) }
      expect(() => parseOutput(text, terminal)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
    },
  )

  it('suggests the attribute and the type that were meant', () => {
    expect(() => parseOutput('type=oci,destt=x', targets)).toThrow(
      expect.objectContaining({ hints: ['Did you mean `dest`?'] }),
    )
    expect(() => parseOutput('type=locale,dest=x', targets)).toThrow(
      expect.objectContaining({ hints: ['Did you mean `local`?'] }),
    )
  })
})
