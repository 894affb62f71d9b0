import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { InternalError } from '@tsbuild/errors'
import { applied, apply } from './apply.ts'
import { type CallOptions, call, type HelperTarget } from './call.ts'
import { type FoundFiles, find, type Wanted } from './find.ts'
import type { FileAction, Finish, OutcomeOf, Root, Selection, Tree } from './protocol.ts'
import type { ApplyRequest, ConvertRequest, DiffRequest, Part } from './protocol-layers.ts'
import type { RunRequest, SessionCgroup, SessionRequest } from './protocol-run.ts'
import { run } from './run.ts'
import { startSession } from './session.ts'
import { startStaged } from './staged.ts'

/** The data plane. Every method starts one helper process, which ends with it. */
export interface Native {
  /** Whether the helper works inside of a user namespace because this process is not root. */
  readonly rootless: boolean
  probe(): Promise<OutcomeOf<'probe'>>
  /** Digests selections; `manifests` has the preimage of each digest, in the same order. */
  scan(tree: Tree, selections: readonly Selection[], options?: ScanOptions): Promise<ScanResult>
  copy(root: Root, actions: readonly FileAction[], options?: CopyOptions): Staged<'copy'>
  /**
   * Reads small files, symlinks followed inside of the tree; null for what is no regular file.
   * @throws {UserError} `ERR_SIZE_MISMATCH` for a file of more than `maxBytes`
   */
  read(tree: Tree, paths: readonly string[], options: ReadOptions): Promise<readonly (Buffer | null)[]>
  /** Lists files by their names and sections of executables, in the order of their names; symlinks are not followed. */
  find(tree: Tree, wanted: Wanted, options?: Cancellable): Promise<FoundFiles>
  /** Unpacks the layer that an open file has from its current position on, or that a stream gives; the stream is ended in any case. */
  apply(layer: ApplyRequest, from: number | Readable, options?: Cancellable): Promise<OutcomeOf<'apply'>>
  /**
   * As `apply`; what `finish` asks for follows the outcome. The signal ends it only until then: somebody may use the tree.
   */
  applyStaged(
    layer: ApplyRequest,
    from: number | Readable,
    options: Cancellable & { readonly finish: Finish },
  ): Staged<'apply'>
  /**
   * Writes the parts to `fd`, one after the other, at its position; files are copied by the kernel where it can, and verified
   * meanwhile.
   *
   * @returns the bytes written
   * @throws {UserError} `ERR_SIZE_MISMATCH`, `ERR_DIGEST_MISMATCH` for a file that is not what it should be. Nothing that `fd`
   *   got is of use after any error
   */
  concat(parts: readonly Part[], fd: number, options?: Cancellable): Promise<number>
  /** Writes the layer of a tree to `fd`. */
  diff(request: DiffRequest, fd: number, options?: Cancellable): Promise<OutcomeOf<'diff'>>
  /**
   * Reads a layer from `fds.from` as `apply` does and writes it in another compression to `fds.to`, where nothing of it is of
   * use when this fails.
   */
  convert(
    request: ConvertRequest,
    fds: { readonly from: number; readonly to: number },
    options?: Cancellable,
  ): Promise<OutcomeOf<'convert'>>
  /**
   * Makes one tree in the empty directory `target` that, as a lower layer, means the same as a run of trees (topmost first),
   * out of hard links. What it left of `target` when it failed is for the caller to remove.
   */
  merge(lower: readonly string[], target: string, options?: Cancellable): Promise<OutcomeOf<'merge'>>
  exportDirectory(root: Root, path: string, options?: Cancellable): Promise<OutcomeOf<'export'>>
  /** Writes the file system as tar to a descriptor of this process, or into a stream, which is not ended. */
  exportTar(root: Root, dest: number | Writable, options?: Cancellable): Promise<OutcomeOf<'export'>>
  run(
    request: Omit<RunRequest, 'op' | 'stdin' | 'finish'>,
    output: RunOutput,
    options?: RunOptions,
  ): Staged<'run'>
  /** Makes what the runs of one build share. */
  session(request: Omit<SessionRequest, 'op'>): NativeSession
  /**
   * The content digests of committed layers' trees, in their order: what each holds but for times. Undefined for one that no
   * layer can hold. @see docs/dev/cache-keys.md
   */
  content(trees: readonly string[], options?: Cancellable): Promise<readonly (string | undefined)[]>
  sync(paths: readonly string[]): Promise<void>
  remove(paths: readonly string[]): Promise<void>
  usage(paths: readonly string[]): Promise<readonly number[]>
}

/** What the runs of one build share, held until `end`. */
export interface NativeSession {
  /**
   * Resolves when all but the network is there.
   * @throws {EnvironmentError} what kept it from being made
   */
  readonly ready: Promise<SessionParts>
  /**
   * Resolves when its network reaches the outside; undefined where none was asked for.
   * @throws {EnvironmentError} `ERR_NETWORK`, `ERR_TOOL_MISSING`; the session is over then
   */
  readonly connected: Promise<Connection | undefined>
  /**
   * Resolves when it is over: its cgroups are empty and gone. Rejects if it was lost before `end`, or cannot be undone.
   * @throws {EnvironmentError} `ERR_NETWORK` where its network was lost
   */
  readonly ended: Promise<void>
  /** Ends it and resolves when it is over, however it ended; safe to call more than once. */
  end(): Promise<void>
}

/** See {@link NativeSession.ready}. */
export interface SessionParts {
  /** For {@link RunRequest.cgroups}. */
  readonly cgroups: readonly SessionCgroup[]
  readonly unlimited: readonly { readonly limit: string; readonly reason: string }[]
  /** Open descriptors of this process until the end, for {@link RunNamespaces}. */
  readonly namespaces: RunNamespaces
}

/** The namespaces of a session that a run enters, as open descriptors of this process. */
export interface RunNamespaces {
  readonly networkFd?: number | undefined
  /** Where this process is no root: the one that owns the network namespace. */
  readonly userFd?: number | undefined
}

/** See {@link NativeSession.connected}. */
export interface Connection {
  /** The name server of its runs. */
  readonly dns: string
  readonly address: string
}

/** What can be given up. */
export interface Cancellable {
  readonly signal?: AbortSignal | undefined
  /** Bytes done so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined
  readonly onWarning?: ((message: string) => void) | undefined
}

/** The operations that change a snapshot. */
export type Changing = 'apply' | 'copy' | 'run'

/** An operation that changed a snapshot: what it made can be used before it is durable. */
export interface Staged<O extends Changing> {
  readonly outcome: Promise<OutcomeOf<O>>
  /**
   * Resolves before `finished`, to the content digest of what the snapshot holds now but for times; not parsed yet. Undefined
   * where `finish` does not ask for it, the process failed, or no layer can hold it. Rejects when it cannot be told.
   */
  readonly content: Promise<string | undefined>
  /**
   * Resolves when what `finish` asked for is done: to the layer that is on `layerFd`, or undefined without one. Rejects
   * whenever `outcome` does.
   */
  readonly finished: Promise<WrittenLayer | undefined>
}

/** A layer that the helper wrote; not parsed yet. */
export interface WrittenLayer {
  readonly digest: string
  readonly sizeBytes: number
  readonly diffId: string
  /** Of the tar. */
  readonly unpackedBytes: number
  /** Of estargz: the digest of its table of contents. */
  readonly tocDigest: string | null
}

/** For operations that change a snapshot. */
export interface Finishing extends Cancellable {
  /** What follows the result; nothing without it. */
  readonly finish?: Finish | undefined
  /** Receives the layer that `finish` asks for. */
  readonly layerFd?: number | undefined
}

/** Signals to a process; SIGWINCH says that the terminal has another size. SIGTERM ends it after the grace time. */
export type RunSignal = 'SIGTERM' | 'SIGINT' | 'SIGQUIT' | 'SIGUSR1' | 'SIGUSR2' | 'SIGWINCH'

/** See {@link Native.run}. */
export interface ProcessOptions extends Finishing {
  /**
   * Called once, when the helper has started and has not read its request: with what sends signals, which wait until the
   * process can get them. Returns what is called at the end. With a terminal, whoever gives this sets the terminal on
   * descriptor 0 to raw mode here and back there: the helper makes it raw and leaves it so.
   */
  readonly signals?: ((send: (signal: RunSignal) => void) => () => void) | undefined
}

/** See {@link Native.run}. */
export interface RunOptions extends ProcessOptions {
  /** Required with network `session`. */
  readonly namespaces?: RunNamespaces | undefined
}

/** See {@link Native.copy}. */
export interface CopyOptions extends Finishing {
  /** Where the names of owners are looked up; the snapshot itself without it. */
  readonly owners?: Root | undefined
}

/** See {@link Native.read}. */
export interface ReadOptions extends Cancellable {
  readonly maxBytes: number
}

/** See {@link Native.scan}. */
export interface ScanOptions extends Cancellable {
  readonly manifests?: boolean | undefined
}

/** See {@link Native.scan}. */
export interface ScanResult extends OutcomeOf<'scan'> {
  readonly manifests: ReadonlyMap<string, Buffer>
}

/** Where the output of a step goes: to callbacks, or straight to descriptors of this process. */
export type RunOutput =
  | {
      readonly kind: 'callbacks'
      readonly onStdout: (chunk: Buffer) => void
      readonly onStderr: (chunk: Buffer) => void
    }
  | { readonly kind: 'fds'; readonly stdin: number | null; readonly stdout: number; readonly stderr: number }

/** Binds the operations to one helper program. */
export function createNative(target: HelperTarget): Native {
  return {
    rootless: target.idMap !== undefined,
    probe: () => call(target, { op: 'probe' }),
    scan: (tree, selections, options = {}) => scan(target, tree, selections, options),
    copy: (root, actions, options) => copy(target, root, actions, options),
    read: (tree, paths, options) => read(target, tree, paths, options),
    find: (tree, wanted, options) => find(target, tree, wanted, cancellable(options)),
    apply: (layer, from, options) => applied(apply(target, layer, from, options)),
    applyStaged: (layer, from, options) => apply(target, layer, from, options),
    diff: (request, fd, options) =>
      call(target, { op: 'diff', ...request }, { ...cancellable(options), extraFds: [fd] }),
    convert: (request, { from, to }, options) =>
      call(target, { op: 'convert', ...request }, { ...cancellable(options), extraFds: [from, to] }),
    concat: async (parts, fd, options) =>
      (await call(target, { op: 'concat', parts }, { ...cancellable(options), extraFds: [fd] })).bytes,
    merge: (lower, mergeTarget, options) =>
      call(target, { op: 'merge', lower, target: mergeTarget }, cancellable(options)),
    exportDirectory: (root, path, options) =>
      call(target, { op: 'export', root, dest: { kind: 'directory', path } }, cancellable(options)),
    exportTar: (root, dest, options) => exportTar(target, root, dest, options),
    run: (request, output, options) => run(target, request, output, options),
    session: (request) => startSession(target, request),
    content: (trees, options) => content(target, trees, options),
    sync: async (paths) => void (await call(target, { op: 'sync', paths })),
    remove: async (paths) => void (await call(target, { op: 'remove', paths })),
    usage: async (paths) => (await call(target, { op: 'usage', paths })).bytes,
  }
}

/** The options of a call that can be given up. */
export function cancellable(options: Cancellable = {}): CallOptions {
  return {
    signal: options.signal,
    onReply: (reply) => {
      if (reply.event === 'progress') options.onProgress?.(reply.bytes)
      if (reply.event === 'warning') options.onWarning?.(reply.message)
    },
  }
}

async function scan(
  target: HelperTarget,
  tree: Tree,
  selections: readonly Selection[],
  options: ScanOptions,
): Promise<ScanResult> {
  const manifest = options.manifests === true
  const request = { op: 'scan', tree, selections, manifest } as const
  if (!manifest) return { ...(await call(target, request, cancellable(options))), manifests: new Map() }
  const chunks: Buffer[] = []
  const outcome = await call(target, request, {
    ...cancellable(options),
    extraFds: ['pipe'],
    onProcess: (child) =>
      (child.stdio[3] as Readable | null)?.on('data', (chunk: Buffer) => chunks.push(chunk)),
  })
  return { ...outcome, manifests: splitManifests(Buffer.concat(chunks)) }
}

/**
 * Each manifest stands behind a line `# <digest> <length in bytes>`.
 * @throws {InternalError} `ERR_HELPER_PROTOCOL`
 */
function splitManifests(bytes: Buffer): Map<string, Buffer> {
  const manifests = new Map<string, Buffer>()
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0x0a, at)
    const [, digest, length] = /^# (\S+) (\d+)$/.exec(bytes.toString('latin1', at, Math.max(at, end))) ?? []
    const stop = end + 1 + Number(length)
    if (digest === undefined || stop > bytes.length)
      throw new InternalError('ERR_HELPER_PROTOCOL', "Cannot read the helper's manifests")
    manifests.set(digest, bytes.subarray(end + 1, stop))
    at = stop
  }
  return manifests
}

async function exportTar(
  target: HelperTarget,
  root: Root,
  dest: number | Writable,
  options: Cancellable | undefined,
): Promise<OutcomeOf<'export'>> {
  const request = { op: 'export', root, dest: { kind: 'tar' } } as const
  if (typeof dest === 'number')
    return await call(target, request, { ...cancellable(options), extraFds: [dest] })
  let copied: Promise<void> = Promise.resolve()
  let stopped = false
  try {
    const outcome = await call(target, request, {
      ...cancellable(options),
      extraFds: ['pipe'],
      onProcess: (child) => {
        copied = pipeline(child.stdio[3] as Readable, dest, { end: false })
        copied.catch(() => {
          stopped = child.kill('SIGTERM')
        })
      },
    })
    await copied
    return outcome
  } catch (error) {
    if (!stopped || options?.signal?.aborted) throw error
    // The helper was ended because the stream failed: that is the reason to give.
    await copied
    throw error
  }
}

function copy(
  target: HelperTarget,
  root: Root,
  actions: readonly FileAction[],
  options: CopyOptions = {},
): Staged<'copy'> {
  const { owners = null, finish = null } = options
  const request = { op: 'copy', root, owners, actions, finish } as const
  const extraFds =
    options.layerFd === undefined ? [] : (['ignore', 'ignore', 'ignore', options.layerFd] as const)
  return startStaged(target, request, { ...cancellable(options), extraFds })
}

async function content(
  target: HelperTarget,
  trees: readonly string[],
  options: Cancellable | undefined,
): Promise<readonly (string | undefined)[]> {
  const { digests } = await call(target, { op: 'content', trees }, cancellable(options))
  if (digests.length !== trees.length)
    throw new InternalError('ERR_HELPER_PROTOCOL', 'the helper did not answer every tree')
  return digests.map((digest) => digest ?? undefined)
}

async function read(
  target: HelperTarget,
  tree: Tree,
  paths: readonly string[],
  { maxBytes, ...options }: ReadOptions,
): Promise<readonly (Buffer | null)[]> {
  const { files } = await call(target, { op: 'read', tree, paths, maxBytes }, cancellable(options))
  if (files.length !== paths.length)
    throw new InternalError('ERR_HELPER_PROTOCOL', 'the helper did not answer every path')
  return files.map((file) => (file === null ? null : Buffer.from(file, 'base64')))
}
