import type { Digest, KeyValue } from '@tsbuild/digest'
import type { RecordedInput } from '@tsbuild/solver'
import { compareExec } from './compare-exec.ts'
import { another, compareFileOp } from './compare-file-op.ts'
import { listOf, membersOf, same, textOf } from './key-value.ts'
import type { Difference, ImageName, Side } from './types.ts'

/**
 * Says what makes a step another one than it was: first what the step itself says, then what it stands on and reads. Pure; what
 * is unknown to it (a field of a later version) is compared like any other. Of files only the digests are compared, see
 * `withFiles`.
 */
export function compare(now: Side, earlier: Side): readonly Difference[] {
  const [after, before] = [kindOf(now), kindOf(earlier)]
  if (after.family !== before.family) return [another(now, earlier)]
  const version: readonly Difference[] =
    after.version === before.version
      ? []
      : [{ kind: 'version', before: before.version, after: after.version }]
  return [...compareOps(after.family, now, earlier), ...version, ...compareInputs(now, earlier)]
}

function compareOps(family: string, now: Side, earlier: Side): readonly Difference[] {
  switch (family) {
    case 'exec':
      return compareExec(now, earlier)
    case 'file':
      return compareFileOp(now, earlier)
    default:
      return same(now.op, earlier.op) ? [] : [another(now, earlier)]
  }
}

/** `exec.v3`: which op, and which encoding of its key. */
function kindOf({ op }: Side): { readonly family: string; readonly version: string } {
  const kind = textOf(membersOf(op).kind) ?? ''
  const [, family = kind, version = ''] = /^(.*)\.v(\d+)$/.exec(kind) ?? []
  return { family, version }
}

/** What an input is to a step: an index means nothing once a mount came before it. */
interface Role {
  readonly name: string
  readonly index: number
}

function rolesOf({ op, inputs }: Side): readonly Role[] {
  const { rootfs, owners, mounts, actions } = membersOf(op)
  const named = new Map<number, string>()
  const name = (index: KeyValue, role: string) => {
    if (typeof index === 'number') named.set(index, role)
  }
  name(rootfs, 'base')
  name(owners, 'owners')
  for (const mount of listOf(mounts)) name(membersOf(mount).input, `mount ${membersOf(mount).target}`)
  listOf(actions).forEach((action, index) => void name(membersOf(action).input, `source ${index}`))
  return inputs.map((_, index) => ({
    index,
    name: named.get(index) ?? (index === 0 ? 'base' : `input ${index}`),
  }))
}

function compareInputs(now: Side, earlier: Side): readonly Difference[] {
  const [after, before] = [rolesOf(now), rolesOf(earlier)]
  const names = [...new Set([...after, ...before].map(({ name }) => name))]
  return names.flatMap((name) => {
    const find = (roles: readonly Role[]) => roles.find((role) => role.name === name)?.index
    const [young, old] = [find(after), find(before)]
    return compareInput(inputOf(now, young), inputOf(earlier, old), name === 'base')
  })
}

interface Input {
  readonly index: number
  readonly name: string
  readonly recorded: RecordedInput | undefined
}

function inputOf({ inputs, inputNames }: Side, index: number | undefined): Input {
  if (index === undefined) return { index: -1, name: '', recorded: undefined }
  return { index, name: inputNames?.[index] ?? '', recorded: inputs[index] }
}

function compareInput(now: Input, earlier: Input, isBase: boolean): readonly Difference[] {
  const [after, before] = [now.recorded, earlier.recorded]
  if (after?.kind === 'content' && before?.kind === 'content') {
    if (after.digest === before.digest) return []
    const files = { kind: 'files', from: now.name, before: before.digest, after: after.digest } as const
    return [{ ...files, changes: null, total: 0 }]
  }
  if (after?.kind === 'result' && before?.kind === 'result') {
    if (after.key === before.key) return []
    return [{ kind: 'step', input: now.index, name: now.name, before: before.key, after: after.key }]
  }
  const images = [earlier, now].map(imageOf)
  const [imageBefore = null, imageAfter = null] = images
  if (imageBefore !== null || imageAfter !== null) {
    if (imageBefore?.manifest === imageAfter?.manifest) return []
    return [{ kind: 'image', role: isBase ? 'base' : 'source', before: imageBefore, after: imageAfter }]
  }
  if (after === undefined && before === undefined) return []
  if (after?.kind === 'source' && before?.kind === 'source' && same(after.key, before.key)) return []
  return [{ kind: 'input', before: titleOf(earlier), after: titleOf(now) }]
}

/** The image of an input that is one: its manifest is its key, its name is in the step's. */
function imageOf({ recorded, name }: Input): ImageName | null {
  const key = recorded?.kind === 'source' ? membersOf(recorded.key) : {}
  if (key.kind !== 'image' || typeof key.manifest !== 'string') return null
  const [, reference = ''] = /(?:^|\s)FROM (\S+?)(?:@sha256:[0-9a-f]{64})?$/.exec(name) ?? []
  return { reference, manifest: key.manifest }
}

function titleOf({ name, recorded }: Input): string | null {
  if (recorded === undefined) return null
  return name === '' ? recorded.kind : name
}

/** The digest under which the list of a `files` difference is kept: a bind mount's is of its source and the list. */
export function listDigestOf(input: RecordedInput | undefined): Digest | undefined {
  if (input?.kind !== 'content') return undefined
  const { content } = membersOf(input.preimage)
  return typeof content === 'string' ? (content as Digest) : input.digest
}
