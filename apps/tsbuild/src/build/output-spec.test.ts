import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { parseOutput } from './output-spec.ts'

const stdout = new PassThrough()
const targets = { cwd: '/src', stdout }

describe('parseOutput()', () => {
  it.each([
    ['out', { type: 'local', dest: '/src/out' }],
    ['a=b', { type: 'local', dest: '/src/a=b' }],
    ['type=local,dest=/abs', { type: 'local', dest: '/abs' }],
    ['type=oci,dest=x.tar', { type: 'oci', dest: '/src/x.tar' }],
    ['type=oci,tar=false,dest=x', { type: 'oci', tar: false, dest: '/src/x' }],
    ['type=docker,dest=x.tar', { type: 'docker', dest: '/src/x.tar' }],
    ['type=docker', { type: 'engine' }],
    ['type=docker,context=x', { type: 'engine', context: 'x' }],
    ['type=tar,dest=x.tar', { type: 'tar', dest: '/src/x.tar' }],
    ['type=registry', { type: 'registry' }],
    ['type=image', { type: 'image' }],
    ['type=image,push=true', { type: 'image', push: true }],
    ['type=image,store=false,push=true', { type: 'image', store: false, push: true }],
    ['TYPE=image,Push=false', { type: 'image', push: false }],
    ['type=cacheonly', { type: 'cacheonly' }],
    ['type=image,"name=a:1,b:2"', { type: 'image', names: ['a:1', 'b:2'] }],
    [
      'type=oci,dest=x,compression=zstd,compression-level=22',
      { type: 'oci', dest: '/src/x', compression: { type: 'zstd', level: 22 } },
    ],
    ['"type=oci","dest=a,b"', { type: 'oci', dest: '/src/a,b' }],
    ['', 'ERR_USAGE'],
    ['dest=x', 'ERR_USAGE'],
    ['type=oic,dest=x', 'ERR_USAGE'],
    ['type=oci,dst=x', 'ERR_USAGE'],
    ['type=oci,dest', 'ERR_USAGE'],
    ['type=local', 'ERR_USAGE'],
    ['type=local,dest=-', 'ERR_USAGE'],
    ['type=oci,tar=false', 'ERR_USAGE'],
    ['type=oci,tar=false,dest=-', 'ERR_USAGE'],
    ['type=registry,push=false', 'ERR_USAGE'],
    ['type=image,store=false', 'ERR_USAGE'],
    ['type=image,push-by-digest=true', 'ERR_USAGE'],
    ['type=image,compression=zstd,compression-level=23', 'ERR_USAGE'],
    ['type=image,compression=estargz,compression-level=10', 'ERR_USAGE'],
    ['type=image,compression=uncompressed,compression-level=1', 'ERR_USAGE'],
    ['type=image,compression=zstd,oci-mediatypes=false', 'ERR_USAGE'],
    ['type=image,compression=estargz,oci-mediatypes=false', 'ERR_USAGE'],
    ['type=image,compression=nydus', 'ERR_UNSUPPORTED'],
    ['type=docker,context=x,dest=y', 'ERR_USAGE'],
    ['type=docker,tar=false', 'ERR_USAGE'],
    ['type=oci,context=x', 'ERR_USAGE'],
  ])('reads %j', (text, expected) => {
    if (typeof expected === 'string') {
      expect(() => parseOutput(text, targets)).toThrow(expect.objectContaining({ code: expected }))
    } else expect(parseOutput(text, targets)).toEqual(expected)
  })

  it.each(['-', 'type=tar', 'type=tar,dest=-', 'type=oci', 'type=docker,dest=-'])(
    'sends %j to standard output, unless that is a terminal',
    (text) => {
      expect(parseOutput(text, targets)).toHaveProperty('dest', stdout)
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
