import type { BuildContext } from '@tsbuild/context'
import { type Digest, digestBytes } from '@tsbuild/digest'
import type { ExecOp, FileOp } from '@tsbuild/graph'
import { emptyFilesystem } from '@tsbuild/snapshot'
import type { InputKeying } from '@tsbuild/solver'
import { describe, expect, it } from 'vitest'
import { execInputs } from './exec-key.ts'
import { fileOp } from './file-op.ts'
import type { OpResult, OpsOptions } from './types.ts'

const { signal } = new AbortController()
const list = 'tsbuild-content-v1\nsource dir\n'
const digest = digestBytes(list)

const copyOp: FileOp = {
  kind: 'file',
  rootfs: undefined,
  owners: undefined,
  actions: [
    {
      kind: 'copy',
      input: 0,
      sources: ['src'],
      dest: '/',
      exclude: ['*.o'],
      parents: false,
      chown: undefined,
      chmod: undefined,
      unpack: false,
    },
  ],
}
const bind = { kind: 'bind', input: 0, source: '/src', target: '/m', readOnly: true } as const

/** Options that scan nothing, and what was kept with them. */
function recording() {
  const kept: [Digest, string][] = []
  const asked: boolean[] = []
  const scan = async (_: unknown, selections: readonly unknown[], { manifests = false }) => {
    asked.push(manifests)
    const found = selections.map(() => ({ digest, files: 0, bytes: 0, missing: [] }))
    return { selections: found, manifests: new Map([[digest, Buffer.from(list)]]) }
  }
  const options = {
    native: { scan },
    snapshotter: { view: async () => ({ lower: [] }) },
    putFileList: async (of: Digest, text: Uint8Array) => void kept.push([of, Buffer.from(text).toString()]),
  } as unknown as OpsOptions
  return { options, kept, asked }
}

/** A context that says what it was asked to keep. */
function recordingContext(): { readonly result: OpResult; readonly kept: unknown[] } {
  const kept: unknown[] = []
  const context: Pick<BuildContext, 'digest' | 'keepFileList'> = {
    digest: async () => digest,
    keepFileList: async (selection, of) => void kept.push([selection.sources, of]),
  }
  return { result: { kind: 'context', context: context as BuildContext }, kept }
}

async function use([input]: readonly InputKeying<OpResult>[], result: OpResult): Promise<void> {
  await input?.content?.(result, signal)
  await input?.keepList?.(result, signal)
}

const filesystem: OpResult = { kind: 'filesystem', filesystem: emptyFilesystem }
const execWithBind = { rootfs: undefined, mounts: [bind] } as Partial<ExecOp> as ExecOp

describe('the lists of what a step reads', () => {
  it('fileOp() takes that of a stage with its digest, and keeps it when it is wanted', async () => {
    const { options, kept, asked } = recording()
    await use(fileOp(copyOp, 1, options).inputs, filesystem)
    expect([kept, asked]).toEqual([[[digest, list]], [true]])
  })

  it('fileOp() lets a context keep its own', async () => {
    const { result, kept } = recordingContext()
    await use(fileOp(copyOp, 1, recording().options).inputs, result)
    expect(kept).toEqual([[['src'], digest]])
  })

  it('fileOp() keeps nothing of what it has not read', async () => {
    const { options, kept } = recording()
    await fileOp(copyOp, 1, options).inputs[0]?.keepList?.(filesystem, signal)
    expect(kept).toEqual([])
  })

  it('execOp() keeps that of a bind mount', async () => {
    const { options, kept } = recording()
    await use(execInputs({ ...execWithBind, mounts: [{ ...bind, source: '/' }] }, 1, options), filesystem)
    expect(kept).toEqual([[digest, list]])
    const { result, kept: ofContext } = recordingContext()
    await use(execInputs(execWithBind, 1, options), result)
    expect(ofContext).toEqual([[['/src'], digest]])
  })
})
