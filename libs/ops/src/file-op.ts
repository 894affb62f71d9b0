import type { KeyValue } from '@tsbuild/digest'
import { InternalError, UserError } from '@tsbuild/errors'
import type { FileAction, FileOp } from '@tsbuild/graph'
import type { FileAction as NativeAction, Root, Selection, Tree } from '@tsbuild/native'
import type { ContentKey, ExecuteContext, InputKeying, StepOp } from '@tsbuild/solver'
import { keepFileList, refuseSharedInputs, type ScannedSelection, scanSelections } from './input-content.ts'
import { ownersKeying } from './owner-names.ts'
import { executedLayer, filesystemOf, loadLayer } from './stored-layer.ts'
import type { OpResult, OpsOptions } from './types.ts'

type CopyAction = Extract<FileAction, { kind: 'copy' }>

/*
 * The key of a file op, `file.v3`: which input is the root file system, which one has the owners' names, and its actions
 * in order. A copy counts with input, dest, chown, chmod, exclude, parents and unpack; its sources count as the input's
 * selector where the input counts by its key, and not at all where it counts by content; then the modes of its files do not
 * count with an octal chmod, nor their owners with a chown. A mkfile counts with name, dest,
 * content, owner, chmod and mtime, a mkdir with path, mode, owner and mtime. Of the input with the owners only two files
 * count, see owner-names.ts. spec/dockerfile.md 2.6 and 3.5; its golden digest is in file-op.test.ts.
 */
export function fileOp(op: FileOp, inputCount: number, options: OpsOptions): StepOp<OpResult> {
  const seen = new Map<number, ScannedSelection>()
  const copies = op.actions.filter((action): action is CopyAction => action.kind === 'copy')
  refuseSharedInputs([...copies.map(({ input }) => input), op.rootfs, op.owners])
  const inputs = Array.from({ length: inputCount }, (_, index): InputKeying<OpResult> => {
    if (index === op.owners) return ownersKeying(options)
    const copy = copies.find((action) => action.input === index)
    if (copy === undefined) return {}
    const content = async (result: OpResult, signal: AbortSignal) => {
      const { lists, ...key } = await digestOf(copy, result, options, signal)
      seen.set(index, { selection: selectionOf(copy), digest: key.digest, lists })
      return key
    }
    const keepList = async (result: OpResult) => {
      const scanned = seen.get(index)
      if (scanned !== undefined) await keepFileList(result, scanned, options)
    }
    return { selector: selectorOf(copy), content, keepList }
  })
  const { rootfs, owners } = op
  return {
    kind: 'step',
    key: { kind: 'file.v3', rootfs, owners, actions: op.actions.map(actionKey) },
    get about() {
      return { build: options.build }
    },
    inputs,
    pure: true,
    bases: rootfs === undefined ? [] : [rootfs],
    load: (stored, bases) => loadLayer(stored, filesystemOf(bases[0]), options),
    execute: (results, context) => execute(op, options, results, { ...context, seen }),
  }
}

function actionKey(action: FileAction): KeyValue {
  switch (action.kind) {
    case 'copy': {
      const { kind, input, dest, chown, chmod, exclude, parents, unpack } = action
      return { kind, input, dest, chown, chmod, exclude, parents, unpack }
    }
    case 'mkdir': {
      const { kind, path, mode, owner, mtime } = action
      return { kind, path, mode, owner, mtime }
    }
    case 'mkfile': {
      const { kind, name, dest, content, owner, chmod, mtime } = action
      return { kind, name, dest, content, owner, chmod, mtime }
    }
  }
}

function selectorOf({ sources, exclude, parents }: CopyAction) {
  return { sources, exclude, parents }
}

/** What a flag gives to everything that is copied, its source need not have; a symbolic mode changes the one it has. */
function selectionOf(copy: CopyAction): Selection {
  const { chmod, chown } = copy
  const uncounted: Selection['uncounted'] = [
    ...(chmod !== undefined && /^[0-7]+$/.test(chmod) ? ['mode' as const] : []),
    ...(chown !== undefined ? ['owner' as const] : []),
  ]
  return { ...selectorOf(copy), uncounted }
}

/** The digest of what a copy reads of its input. Nothing of a base image is fetched for a source that has a key. */
async function digestOf(
  copy: CopyAction,
  result: OpResult,
  options: OpsOptions,
  signal: AbortSignal,
): Promise<ContentKey & Pick<ScannedSelection, 'lists'>> {
  const selection = selectionOf(copy)
  const preimage = { ...selectorOf(copy), files: 'see the file list of this digest' }
  const { digests, missing, lists } = await scanSelections(result, [selection], options, signal)
  const [digest] = digests
  if (digest === undefined)
    throw new InternalError('ERR_HELPER_PROTOCOL', 'the helper did not answer a selection')
  const [source] = missing
  if (source !== undefined) {
    throw new UserError(
      'ERR_COPY_SOURCE_NOT_FOUND',
      `Cannot copy "${source}": it is not in the stage or image that --from names`,
    )
  }
  return { digest, preimage, lists }
}

async function execute(
  op: FileOp,
  options: OpsOptions,
  results: readonly OpResult[],
  context: ExecuteContext & { readonly seen: ReadonlyMap<number, ScannedSelection> },
) {
  const base = filesystemOf(op.rootfs === undefined ? undefined : results[op.rootfs])
  const snapshot = await options.snapshotter.prepare(base, context.signal, options.layerOf(context.vertex))
  try {
    const actions = await Promise.all(
      op.actions.map((action) => nativeAction(action, results, options, context)),
    )
    const { outcome, content, finished } = options.native.copy(snapshot.root, actions, {
      ...snapshot.finishing,
      owners: await ownersOf(op, results, options, context.signal),
      signal: context.signal,
      onWarning: warner(context, options.now),
    })
    await outcome
    // Nobody waits for the content: what a copy reads counts by its own already.
    return executedLayer(base, snapshot, { createdAt: options.now(), content, finished })
  } catch (error) {
    await snapshot.release()
    throw error
  }
}

async function ownersOf(
  { owners }: FileOp,
  results: readonly OpResult[],
  { snapshotter }: OpsOptions,
  signal: AbortSignal,
): Promise<Root | undefined> {
  return owners === undefined ? undefined : await snapshotter.view(filesystemOf(results[owners]), signal)
}

/** What the helper found odd and went on with. */
function warner({ vertex: { source }, events }: ExecuteContext, now: () => number) {
  return (message: string) => events({ type: 'warning', rule: 'CopyContent', message, source, at: now() })
}

async function nativeAction(
  action: FileAction,
  results: readonly OpResult[],
  options: OpsOptions,
  context: ExecuteContext & { readonly seen: ReadonlyMap<number, ScannedSelection> },
): Promise<NativeAction> {
  switch (action.kind) {
    case 'mkdir':
      return {
        kind: 'mkdir',
        path: action.path,
        mode: action.mode,
        owner: action.owner ?? null,
        mtime: action.mtime ?? null,
      }
    case 'mkfile': {
      const data = Buffer.from(action.content, 'utf8').toString('base64')
      const { kind, name, dest, owner = null, chmod = null, mtime = null } = action
      return { kind, name, dest, data, owner, chmod, mtime }
    }
    case 'copy': {
      const result = results[action.input]
      if (result === undefined) throw new InternalError('ERR_INTERNAL', `there is no input ${action.input}`)
      return {
        kind: 'copy',
        from: await treeOf(result, options, context.signal),
        selection: selectionOf(action),
        dest: action.dest,
        chown: action.chown ?? null,
        chmod: action.chmod ?? null,
        expect: context.seen.get(action.input)?.digest ?? null,
        unpack: action.unpack,
      }
    }
  }
}

async function treeOf(result: OpResult, options: OpsOptions, signal: AbortSignal): Promise<Tree> {
  if (result.kind === 'context') return result.context.tree
  return { kind: 'snapshot', root: await options.snapshotter.view(result.filesystem, signal) }
}
