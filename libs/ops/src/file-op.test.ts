import { type Digest, digestBytes } from '@tsbuild/digest'
import type { FileAction, FileOp } from '@tsbuild/graph'
import { definitionKey, type RecordedInput } from '@tsbuild/solver'
import { describe, expect, it } from 'vitest'
import { fileOp } from './file-op.ts'
import { untouchable } from './testing/untouchable.ts'

type Copy = Extract<FileAction, { kind: 'copy' }>
type Mkfile = Extract<FileAction, { kind: 'mkfile' }>
type Mkdir = Extract<FileAction, { kind: 'mkdir' }>

const copy: Copy = {
  kind: 'copy',
  input: 1,
  sources: ['a', 'b'],
  dest: '/d/',
  exclude: ['*.o'],
  parents: false,
  chown: undefined,
  chmod: undefined,
  unpack: false,
}
const mkfile: Mkfile = {
  kind: 'mkfile',
  name: 'f',
  dest: '/',
  content: 'x\n',
  owner: undefined,
  chmod: undefined,
  mtime: undefined,
}
const mkdir: Mkdir = { kind: 'mkdir', path: '/d', mode: 0o755, owner: undefined, mtime: undefined }

const file = { kind: 'file', rootfs: undefined, owners: undefined } as const
const base = { kind: 'result', key: digestBytes('base') } as const
const source = { kind: 'result', key: digestBytes('source') } as const
const read = (text: string): RecordedInput => ({ kind: 'content', digest: digestBytes(text), preimage: text })

const stepOf = (actions: readonly FileAction[], inputs = 2) =>
  fileOp({ kind: 'file', rootfs: 0, owners: undefined, actions }, inputs, untouchable())

/** The key where the source counts by the step that made it. */
function definitionOf(actions: readonly FileAction[]): Digest {
  const { key, inputs } = stepOf(actions)
  return definitionKey(key, [base, { ...source, selector: inputs[1]?.selector }])
}

/** The key where the source counts by what is read of it. */
const contentOf = (actions: readonly FileAction[], content = 'same') =>
  definitionKey(stepOf(actions).key, [base, read(content)])

describe('fileOp() and its key', () => {
  it('fileOp() has the pinned key file.v2', () => {
    const all = [copy, mkfile, mkdir]
    expect(definitionOf(all)).toMatchInlineSnapshot(
      `"sha256:6b45d3ac9948dd3c77776006965ed1413d928449b52f25c33bb6e49af5eaf70b"`,
    )
    expect(contentOf(all)).toMatchInlineSnapshot(
      `"sha256:1e1d6473d25c428272797f380f96079e8d2ac9e34a7a8ffcff981272efe9922b"`,
    )
    expect(stepOf([{ ...copy, chown: 'u:g', chmod: '0755' }, mkfile, mkdir]).key).toEqual({
      kind: 'file.v2',
      rootfs: 0,
      owners: undefined,
      actions: [
        {
          kind: 'copy',
          input: 1,
          dest: '/d/',
          chown: 'u:g',
          chmod: '0755',
          exclude: ['*.o'],
          parents: false,
          unpack: false,
        },
        mkfile,
        mkdir,
      ],
    })
  })

  const differentCopy: Readonly<Record<string, Partial<Copy>>> = {
    destination: { dest: '/d' },
    owner: { chown: '0:0' },
    mode: { chmod: '0644' },
    'mode written otherwise': { chmod: '644' },
    'no exclusion': { exclude: [] },
    'more exclusions': { exclude: ['*.o', 'x'] },
    parents: { parents: true },
    unpack: { unpack: true },
  }

  it.each(Object.entries(differentCopy))(
    'fileOp() has another key with another %s of a copy',
    (_, changed) => {
      expect(definitionOf([{ ...copy, ...changed }])).not.toBe(definitionOf([copy]))
      expect(contentOf([{ ...copy, ...changed }])).not.toBe(contentOf([copy]))
    },
  )

  it.each([
    ['another source', ['a', 'c']],
    ['the order of sources', ['b', 'a']],
    ['one source', ['a']],
  ])('fileOp() counts %s by key, and not where the content says the same', (_, sources) => {
    expect(definitionOf([{ ...copy, sources }])).not.toBe(definitionOf([copy]))
    expect(contentOf([{ ...copy, sources }])).toBe(contentOf([copy]))
  })

  it('fileOp() has another key with other content', () => {
    expect(contentOf([copy], 'other')).not.toBe(contentOf([copy]))
  })

  it('fileOp() is changed by every field of a copy', () => {
    const changed = Object.values(differentCopy).flatMap((fields) => Object.keys(fields))
    expect([...new Set(changed), 'kind', 'sources', 'input'].toSorted()).toEqual(Object.keys(copy).toSorted())
  })

  it('fileOp() counts which input a copy reads', () => {
    const other: Copy = { ...copy, dest: '/e/' }
    const inputs = [base, read('x'), read('y')]
    const one = stepOf([copy, { ...other, input: 2 }], 3)
    const swapped = stepOf([{ ...copy, input: 2 }, other], 3)
    expect(definitionKey(one.key, inputs)).not.toBe(definitionKey(swapped.key, inputs))
  })

  const differentFiles: Readonly<Record<string, FileAction>> = {
    'another name': { ...mkfile, name: 'g' },
    'another destination': { ...mkfile, dest: '/d/' },
    'another mode': { ...mkfile, chmod: '0600' },
    'a time': { ...mkfile, mtime: 0 },
    'another time': { ...mkfile, mtime: 1 },
    'other bytes': { ...mkfile, content: 'x' },
    'another owner': { ...mkfile, owner: 'u' },
    'a directory': mkdir,
    'a directory elsewhere': { ...mkdir, path: '/e' },
    'a directory with another mode': { ...mkdir, mode: 0o700 },
    'a directory of another owner': { ...mkdir, owner: 'u' },
    'a directory with a time': { ...mkdir, mtime: 0 },
  }

  it('fileOp() has one key for each file or directory that it makes', () => {
    const actions: readonly FileAction[] = [mkfile, ...Object.values(differentFiles)]
    expect(new Set(actions.map((action) => definitionOf([action]))).size).toBe(actions.length)
  })

  it('fileOp() counts the order of actions', () => {
    expect(definitionOf([mkfile, mkdir])).not.toBe(definitionOf([mkdir, mkfile]))
  })

  it('fileOp() never counts its root file system by content', () => {
    const { inputs, bases, pure } = stepOf([copy])
    expect(inputs.map(({ content, selector }) => [content !== undefined, selector])).toEqual([
      [false, undefined],
      [true, { sources: ['a', 'b'], exclude: ['*.o'], parents: false }],
    ])
    expect([bases, pure]).toEqual([[0], true])
  })

  it.each<[string, FileOp]>([
    ['two copies', { ...file, rootfs: 0, actions: [copy, { ...copy, sources: ['c'] }] }],
    ['a copy and the root file system', { ...file, rootfs: 1, actions: [copy] }],
    ['a copy and the owners', { ...file, owners: 1, actions: [copy] }],
    ['the owners and the root file system', { ...file, rootfs: 0, owners: 0, actions: [mkdir] }],
  ])('fileOp() refuses %s of one input: one of them would not count', (_, op) => {
    expect(() => fileOp(op, 2, untouchable())).toThrow(expect.objectContaining({ code: 'ERR_INTERNAL' }))
  })
})
