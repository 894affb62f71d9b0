import { isDigest } from '@tsbuild/digest'
import type { SourceRange } from '@tsbuild/errors'
import type { ExecOp } from '@tsbuild/graph'
import {
  count,
  either,
  flag,
  integer,
  listOf,
  nothing,
  objectOf,
  oneOf,
  optional,
  parseJson,
  type Shape,
  text,
} from '@tsbuild/shape'
import type { Filesystem } from '@tsbuild/snapshot'
import { isSnapshotId } from '@tsbuild/store'

/** The format of a failure's text. Failures of another number are not looked at. */
const format = 1

/** A step that failed, as `failure.json` has it. No secret is in it: an op knows secrets by their ids. */
export interface FailureRecord {
  /** Of the build. */
  readonly ref: string
  /** Unix ms. */
  readonly at: number
  /** The step as shown to the user. */
  readonly name: string
  readonly source: SourceRange | null
  /** Of the error. */
  readonly code: string
  /** Null where the process did not come to its end. */
  readonly exitCode: number | null
  /** The trust scope of the build: whoever stands in its files has its cache mounts and no other's. */
  readonly scope: string
  /** What the caller of the build took from its steps: whoever stands in their place has no more. */
  readonly walls: Walls
  readonly op: ExecOp
  /** The vertex's inputs by index, as references. */
  readonly inputs: readonly Filesystem[]
}

/** What steps of a build had less of than others, in the words of its options; what is absent was not said. */
export interface Walls {
  readonly security?: 'minimal' | undefined
  readonly noNewPrivileges?: boolean | undefined
  readonly userns?: 'auto' | undefined
  /** Of all steps together, and of each one: by the name of the limit. */
  readonly limits?: WallLimits | undefined
  readonly stepLimits?: WallLimits | undefined
}

type WallLimits = Readonly<Record<string, number | string | undefined>>

/** The text under which a failure is kept: JSON, readable. */
export function encodeFailure(record: FailureRecord): string {
  return `${JSON.stringify({ format, ...record }, undefined, 1)}\n`
}

/** @returns undefined for anything that is no failure of this format: there is nothing to look around in then */
export function decodeFailure(written: string): FailureRecord | undefined {
  const value = parseJson(written)
  if (!isFailure(value)) return undefined
  const { ref, at, name, source, code, exitCode, scope, walls, op, inputs } = value
  if (!indexesFit(op, inputs.length)) return undefined
  return { ref, at, name, source, code, exitCode, scope, walls, op, inputs }
}

function isFailure(value: unknown): value is FailureRecord {
  return failure(value)
}

/** An op names its inputs by number. */
function indexesFit({ rootfs, mounts }: ExecOp, length: number): boolean {
  const inputs = mounts.map((mount) => ('input' in mount ? mount.input : undefined))
  return [rootfs, ...inputs].every((index) => index === undefined || index < length)
}

const owned = { target: text, mode: integer, uid: integer, gid: integer }

const mount: Shape = either(
  objectOf({
    kind: oneOf('bind'),
    input: optional(count),
    source: text,
    target: text,
    readOnly: flag,
  }),
  objectOf({
    kind: oneOf('cache'),
    id: text,
    target: text,
    input: optional(count),
    source: text,
    readOnly: flag,
    sharing: oneOf('shared', 'private', 'locked'),
    mode: optional(integer),
    uid: optional(integer),
    gid: optional(integer),
  }),
  objectOf({ kind: oneOf('tmpfs'), target: text, sizeBytes: optional(count), readOnly: flag }),
  objectOf({
    ...owned,
    kind: oneOf('secret'),
    id: text,
    target: optional(text),
    env: optional(text),
    required: flag,
  }),
  objectOf({ ...owned, kind: oneOf('ssh'), id: text, required: flag }),
)

const op = objectOf({
  kind: oneOf('exec'),
  rootfs: optional(count),
  args: listOf(text),
  shell: optional(listOf(text)),
  env: listOf(text),
  cwd: text,
  user: text,
  network: oneOf('default', 'none', 'host'),
  security: oneOf('sandbox', 'insecure'),
  hostname: text,
  extraHosts: listOf(objectOf({ name: text, ip: text })),
  platform: text,
  scripts: listOf(objectOf({ path: text, content: text })),
  mounts: listOf(mount),
  ulimits: listOf(objectOf({ name: text, soft: optional(count), hard: optional(count) })),
  shmSizeBytes: optional(count),
  cgroupParent: optional(text),
})

const digest: Shape = (value) => typeof value === 'string' && isDigest(value)

const layer: Shape = either(
  objectOf({
    kind: oneOf('snapshot'),
    id: (value) => typeof value === 'string' && isSnapshotId(value),
    createdAt: count,
  }),
  objectOf({
    kind: oneOf('image'),
    reference: text,
    mediaType: text,
    digest,
    size: count,
    diffId: digest,
  }),
)

const limits = optional(
  objectOf({
    memoryBytes: optional(count),
    memorySwapBytes: optional(integer),
    cpuShares: optional(count),
    cpuPeriodMicros: optional(count),
    cpuQuotaMicros: optional(count),
    cpusetCpus: optional(text),
    cpusetMems: optional(text),
    pids: optional(count),
    ioWeight: optional(count),
  }),
)

const walls = objectOf({
  security: optional(oneOf('minimal')),
  noNewPrivileges: optional(flag),
  userns: optional(oneOf('auto')),
  limits,
  stepLimits: limits,
})

const failure = objectOf({
  format: oneOf(format),
  ref: text,
  at: count,
  name: text,
  source: either(
    nothing,
    objectOf({ file: text, startLine: count, startColumn: count, endLine: count, endColumn: count }),
  ),
  code: text,
  exitCode: either(nothing, count),
  scope: text,
  walls,
  op,
  inputs: listOf(objectOf({ layers: listOf(layer) })),
})
