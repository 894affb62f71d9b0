import { digestBytes, digestKey, type KeyValue } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import type { ExecMount, ExecOp } from '@tsbuild/graph'
import type { InputKeying } from '@tsbuild/solver'
import { keepFileList, refuseSharedInputs, type ScannedSelection, scanSelections } from './input-content.ts'
import { itselfAt, literalAt } from './literal-selection.ts'
import type { SecretDigests } from './secret-digests.ts'
import type { OpResult, OpsOptions } from './types.ts'

/*
 * The key of an exec op, `exec.v4`: args, cgroupParent, cwd, env in order, the names of extra hosts in order, hostname,
 * mounts in order, network, platform, rootfs, scripts in order with path and text, security, shmSizeBytes, ulimits in order, user.
 * Not in it: proxy variables, extra hosts' addresses, extra certificate authorities, limits of cgroups, what agents give and
 * what secrets give, but for those that ask for it; how old a record may be. spec/dockerfile.md 2.6; its golden digest is in exec-key.test.ts.
 */
export function execKey(op: ExecOp, secretDigests: () => SecretDigests): KeyValue {
  const { args, cgroupParent, cwd, env, hostname, network, platform, security, shmSizeBytes, user } = op
  return {
    kind: 'exec.v4',
    args,
    cgroupParent,
    cwd,
    env,
    extraHosts: op.extraHosts.map(({ name }) => name),
    hostname,
    mounts: op.mounts.map((mount) => mountKey(mount, secretDigests)),
    network,
    platform,
    rootfs: op.rootfs,
    scripts: op.scripts.map(({ path, content }) => ({ path, content })),
    security,
    shmSizeBytes,
    ulimits: op.ulimits.map(({ name, soft, hard }) => ({ name, soft, hard })),
    user,
  }
}

/**
 * A mount counts with all it says, except for the sharing of a cache mount, which says who waits for whom. The source of a
 * mount with an input counts with that input.
 */
function mountKey(mount: ExecMount, secretDigests: () => SecretDigests): KeyValue {
  switch (mount.kind) {
    case 'bind': {
      const { kind, input, source, target, readOnly } = mount
      return { kind, input, source: input === undefined ? source : undefined, target, readOnly }
    }
    case 'cache': {
      const { kind, id, target, input, source, readOnly, mode, uid, gid } = mount
      return { kind, id, target, input, source, readOnly, mode, uid, gid }
    }
    case 'tmpfs': {
      const { kind, target, sizeBytes, readOnly } = mount
      return { kind, target, sizeBytes, readOnly }
    }
    case 'secret': {
      const { kind, id, target, env, required, mode, uid, gid } = mount
      const content = mount.countsContent === true ? (secretDigests().get(id) ?? null) : undefined
      return { kind, id, target, env, required, mode, uid, gid, content }
    }
    case 'ssh': {
      const { kind, id, target, required, mode, uid, gid } = mount
      return { kind, id, target, required, mode, uid, gid }
    }
  }
}

/** How the inputs count: the root file system and those of cache mounts by key, those of bind mounts by content. */
export function execInputs(op: ExecOp, count: number, options: OpsOptions): readonly InputKeying<OpResult>[] {
  const readers = op.mounts.filter((mount) => mount.kind === 'bind' || mount.kind === 'cache')
  refuseSharedInputs([op.rootfs, ...readers.map(({ input }) => input)])
  return Array.from({ length: count }, (_, index) => {
    const reader = readers.find(({ input }) => input === index)
    if (reader === undefined) return {}
    const { source } = reader
    if (reader.kind === 'cache') return { selector: { source } }
    let scanned: ScannedSelection | undefined
    return {
      selector: { source },
      content: async (result, signal) => {
        const { read, ...key } = await bindContent(source, result, options, signal)
        scanned = read
        return key
      },
      keepList: async (result) => {
        if (scanned !== undefined) await keepFileList(result, scanned, options)
      },
    }
  })
}

/** The content digest of a selection that holds nothing, not even an empty directory. @see docs/dev/cache-keys.md */
const nothing = digestBytes('tsbuild-content-v1\n')

/*
 * The content digest of a bind mount: SHA-256 of the domain `tsbuild.bind.v1`, a line feed, and the canonical JSON of two
 * content digests: of what COPY would read of the source, and of the source itself, whose mode and owner the process sees.
 */
async function bindContent(source: string, result: OpResult, options: OpsOptions, signal: AbortSignal) {
  const itself = itselfAt(source)
  const selection = literalAt(source)
  const selections = [selection, ...(itself === undefined ? [] : [itself])]
  const { digests, missing, lists } = await scanSelections(result, selections, options, signal)
  const [content, of] = digests
  if (missing.length > 0 || content === undefined || content === nothing) throw missingSource(source)
  const preimage = { source, content, itself: of }
  const read: ScannedSelection = { selection, digest: content, lists }
  return { digest: digestKey('tsbuild.bind.v1', { content, itself: of }), preimage, read }
}

/** The error of a mount whose source is not there. */
export function missingSource(source: string): UserError {
  return new UserError(
    'ERR_MOUNT_SOURCE_INVALID',
    `Cannot mount "${source}": it is not in the stage, image or context that the mount is from`,
  )
}
