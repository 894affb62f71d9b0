import type { BuildContext } from '@tsbuild/context'
import { type Digest, digestBytes } from '@tsbuild/digest'
import type { FileAction, FileOp, Vertex } from '@tsbuild/graph'
import type { Native, FileAction as NativeAction, Selection } from '@tsbuild/native'
import { definitionKey, type RecordedInput } from '@tsbuild/solver'
import { describe, expect, it } from 'vitest'
import { fileOp } from './file-op.ts'
import { recordingOptions } from './testing/recording-options.ts'
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
  it('fileOp() has the pinned key file.v3', () => {
    const all = [copy, mkfile, mkdir]
    expect(definitionOf(all)).toMatchInlineSnapshot(
      `"sha256:4b0a186d65c6c632005a40816c472f239bc79f991e4abf9d80884dc4a73674f9"`,
    )
    expect(contentOf(all)).toMatchInlineSnapshot(
      `"sha256:7d81ff4621e99cf7d78580d6cfffe7d8601ffcd1b02933c0ffe0c1996a082f52"`,
    )
    expect(stepOf([{ ...copy, chown: 'u:g', chmod: '0755' }, mkfile, mkdir]).key).toEqual({
      kind: 'file.v3',
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

  it.each<[string, Partial<Copy>, readonly string[]]>([
    ['no flag', {}, []],
    ['an octal mode', { chmod: '0755' }, ['mode']],
    ['a symbolic mode', { chmod: 'a+rX' }, []],
    ['an owner', { chown: 'u:g' }, ['owner']],
    ['both', { chmod: '644', chown: '0' }, ['mode', 'owner']],
  ])('fileOp() scans and copies what counts with %s', async (_, flags, uncounted) => {
    const selections: Selection[] = []
    const digest = digestBytes('read')
    const context = {
      tree: 'tree',
      digest: async (selection: Selection) => {
        selections.push(selection)
        return digest
      },
    } as unknown as BuildContext
    const copied: NativeAction[] = []
    const native = {
      copy: (_root: unknown, actions: readonly NativeAction[]) => {
        copied.push(...actions)
        const nothing = Promise.resolve(undefined)
        return { outcome: nothing, content: nothing, finished: nothing }
      },
    } as unknown as Native
    const { options } = recordingOptions(async () => ({}), { native })
    const op: FileOp = { ...file, rootfs: undefined, actions: [{ ...copy, ...flags, input: 0 }] }
    const step = fileOp(op, 1, options)
    const { signal } = new AbortController()
    const vertex: Vertex = { digest, op, inputs: [], name: 'COPY', source: null, ignoreCache: false }
    const input = { kind: 'context', context } as const
    await step.inputs[0]?.content?.(input, signal)
    await step.execute([input], { vertex, signal, events: () => {} })
    const selection = { sources: ['a', 'b'], exclude: ['*.o'], parents: false, uncounted }
    expect(selections).toEqual([selection])
    expect(copied).toMatchObject([{ kind: 'copy', selection, expect: digest }])
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
