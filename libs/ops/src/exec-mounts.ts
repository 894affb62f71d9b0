import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { UserError } from '@tsbuild/errors'
import type { ExecMount, ExecOp } from '@tsbuild/graph'
import type { Mount } from '@tsbuild/native'
import type { ExecuteContext } from '@tsbuild/solver'
import { onDisk } from '@tsbuild/store'
import { openCacheMounts } from './exec-cache-mounts.ts'
import { type StepSecrets, secretFile } from './exec-secrets.ts'
import { mountScripts } from './script-mounts.ts'
import { mountedFilesystem } from './stored-layer.ts'
import type { OpResult, OpsOptions } from './types.ts'

/** The mounts of a step, open until `close`. */
export interface OpenMounts {
  /** In the order of the op, its scripts last. */
  readonly mounts: readonly Mount[]
  /** What the process finds in its environment because of them. */
  readonly env: readonly string[]
  /** Lets go of all of them, and deletes what was only for this step. Nothing uses them any more. */
  close(): Promise<void>
}

type BindMount = Extract<ExecMount, { kind: 'bind' }>
type SshMount = Extract<ExecMount, { kind: 'ssh' }>

/** Opens one mount; undefined where there is to be none. */
type Opener = (mount: ExecMount) => Promise<Mount | undefined>

/**
 * Opens what a step mounts. What it waits for comes last: nothing else waits while another step has a cache mount.
 *
 * @throws {UserError} `ERR_SSH`, `ERR_MOUNT_SOURCE_INVALID`, `ERR_CANCELLED`
 */
export async function openMounts(
  op: ExecOp,
  secrets: StepSecrets,
  inputs: readonly OpResult[],
  options: OpsOptions,
  context: ExecuteContext,
): Promise<OpenMounts> {
  const closers: (() => Promise<void>)[] = []
  const close = () => closeAll(closers)
  try {
    const open = opener(secrets, inputs, options, { ...context, closers })
    const opened = new Map<ExecMount, Mount>()
    for (const mount of op.mounts) {
      const native = await open(mount)
      if (native !== undefined) opened.set(mount, native)
    }
    const scripts = await mountScripts(op.scripts, options)
    const caches = await openCacheMounts(op.mounts, inputs, options, context, closers)
    const mounts = op.mounts.flatMap((mount) => opened.get(mount) ?? caches.get(mount) ?? [])
    return { mounts: [...mounts, ...scripts], env: agentOf(op, mounts), close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Everything is closed, also after one of them failed. */
async function closeAll(closers: (() => Promise<void>)[]): Promise<void> {
  const failed = (await Promise.allSettled(closers.splice(0).map((closer) => closer()))).find(
    (result) => result.status === 'rejected',
  )
  if (failed !== undefined) throw failed.reason
}

function opener(
  secrets: StepSecrets,
  inputs: readonly OpResult[],
  options: OpsOptions,
  step: ExecuteContext & {
    readonly closers: (() => Promise<void>)[]
  },
): Opener {
  return async (mount) => {
    switch (mount.kind) {
      case 'bind':
        return await openBind(mount, inputs, options, step)
      case 'tmpfs': {
        const { kind, target, sizeBytes = null, readOnly } = mount
        return { kind, target, sizeBytes, readonly: readOnly }
      }
      case 'secret':
        return secretFile(mount, secrets)
      case 'ssh':
        return await openAgent(mount, options, step)
      case 'cache':
        return undefined
    }
  }
}

/** A view; with writes, in an upper directory that ends with the step. */
async function openBind(
  mount: BindMount,
  inputs: readonly OpResult[],
  options: OpsOptions,
  { signal, closers }: Pick<ExecuteContext, 'signal'> & { readonly closers: (() => Promise<void>)[] },
): Promise<Mount> {
  const { input, source, target, readOnly } = mount
  const view =
    input === undefined
      ? { lower: [], upper: null, work: null }
      : await options.snapshotter.view(mountedFilesystem(inputs, input), signal)
  const inside = source.slice(1)
  if (readOnly) return { kind: 'snapshot', root: view, inside, target }
  const scratch = await options.scratch()
  closers.push(() => options.native.remove([scratch]))
  const [upper, work] = [join(scratch, 'upper'), join(scratch, 'work')]
  await onDisk('make directory', scratch, async () => {
    await mkdir(upper)
    // It is the root directory of what the process sees, which the umask of this process must not change.
    await chmod(upper, 0o755)
    await mkdir(work, 0o700)
  })
  return { kind: 'snapshot', root: { ...view, upper, work }, inside, target }
}

/** Two mounts of one id have a socket each: a socket has one owner and mode. */
async function openAgent(
  mount: SshMount,
  options: OpsOptions,
  { signal, closers }: Pick<ExecuteContext, 'signal'> & { readonly closers: (() => Promise<void>)[] },
): Promise<Mount | undefined> {
  const { id, target, mode, uid, gid } = mount
  const agent = await options.ssh(id, signal)
  if (agent !== undefined) {
    closers.push(() => agent.close())
    return { kind: 'socket', source: agent.socket, target, mode, uid, gid }
  }
  if (!mount.required) return undefined
  throw new UserError('ERR_SSH', `Cannot run a step without its ssh agent: ssh ${id}: not found`, {
    hints: [`Give it with \`--ssh ${id}\` for the agent of SSH_AUTH_SOCK, or \`--ssh ${id}=KEYFILE\`.`],
  })
}

/** Where the first agent is, unless the step says it itself. */
function agentOf({ env }: ExecOp, mounts: readonly Mount[]): readonly string[] {
  const socket = mounts.find(({ kind }) => kind === 'socket')
  if (socket === undefined || env.some((entry) => entry.startsWith('SSH_AUTH_SOCK='))) return []
  return [`SSH_AUTH_SOCK=${socket.target}`]
}
