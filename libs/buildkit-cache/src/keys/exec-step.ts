import { posix } from 'node:path'
import { type Digest, digestBytes } from '@tsbuild/digest'
import type { ExecMount, ExecOp, Vertex } from '@tsbuild/graph'
import type { Dialect } from './dialect.ts'
import { inlineDirectory, inlineFile, sameNode, withoutChildren } from './file-step.ts'
import { filled, type GoValue } from './go-json.ts'
import { type ContentSelector, type KeyedInput, type KeyedNode, type KeyedStep, stepKey } from './node.ts'
import { ownerValue } from './owner.ts'

/** What the inputs of an exec are. */
export interface ExecInputs {
  readonly nodeOf: (input: Digest) => KeyedNode | undefined
  /** The context, where the input is a copy of a part of it: BuildKit mounts the context itself. */
  readonly contextPart: (input: Digest) => { readonly node: KeyedNode; readonly path: string } | undefined
}

/** What a mount shows; not known where there is an input that is none of BuildKit's. */
interface MountedFiles {
  readonly node: KeyedNode | undefined
  readonly path: string
  readonly isKnown: boolean
}

type FilesAt = (index: number | undefined, source: string) => MountedFiles

/** A mount as BuildKit counts it. */
interface Mount {
  readonly target: string
  readonly node: KeyedNode | undefined
  /** The path of the input; '' for the whole. */
  readonly source: string
  readonly output: number
  readonly readOnly: boolean
  readonly type: number
  readonly options?: Readonly<Record<string, GoValue>>
}

const types = { bind: 0, secret: 1, ssh: 2, cache: 3, tmpfs: 4 } as const

/** What the host name is called where nobody gave one: then BuildKit's key has none. */
const defaultHostname = 'buildkitsandbox'

/**
 * An exec op as BuildKit counts it: the message as JSON, without addresses of hosts, proxies and the paths of inputs, and without the
 * root file system where it is the only mount.
 *
 * @param inputs what the inputs of the vertex are
 * @returns undefined for what this version of BuildKit does not have
 */
export function execStep(
  op: ExecOp,
  vertex: Pick<Vertex, 'inputs'>,
  inputs: ExecInputs,
  dialect: Dialect,
): KeyedStep | undefined {
  const mounts = mountsOf(op, vertex, inputs, dialect)
  if (mounts === undefined) return undefined
  const nodes: KeyedNode[] = []
  const indexes = mounts.map(({ node }) => {
    if (node === undefined) return -1
    const known = nodes.findIndex((each) => sameNode(each, node))
    return known >= 0 ? known : nodes.push(node) - 1
  })
  const [os = '', arch = '', variant] = op.platform.split('/')
  const values = [
    ...mounts.map((mount, place) => mountValue(mount, indexes[place] ?? -1, dialect)),
    ...secretsOf(op).flatMap((secret) => secretValue(secret, dialect)),
    ...agentsOf(op).map((agent) => agentValue(agent, dialect)),
  ]
  const digest = stepKey({
    Type: 'buildkit.exec.v0',
    Exec: {
      meta: metaValue(op, dialect),
      mounts: values.length === 1 ? undefined : values,
      network: filled({ default: 0, host: 1, none: 2 }[op.network]),
      security: filled({ sandbox: 0, insecure: 1 }[op.security]),
      secretenv: filled(secretsOf(op).flatMap(secretVariable)),
    },
    OS: os,
    Arch: arch,
    Variant: filled(variant),
  })
  return {
    digest,
    inputs: nodes.map((node, index) =>
      inputOf(
        node,
        mounts.filter((_, at) => indexes[at] === index),
        dialect,
      ),
    ),
  }
}

function metaValue(op: ExecOp, { mountStubs }: Dialect): GoValue {
  const [agent] = agentsOf(op)
  const env = environmentOf(op)
  const hasAgent = env.some((entry) => entry.startsWith('SSH_AUTH_SOCK='))
  return {
    args: filled(op.args),
    env: filled([...env, ...(agent === undefined || hasAgent ? [] : [`SSH_AUTH_SOCK=${agent.target}`])]),
    cwd: op.cwd,
    user: filled(op.user),
    extraHosts: filled(op.extraHosts.map(({ name }) => ({ Host: name }))),
    hostname: op.hostname === defaultHostname ? undefined : filled(op.hostname),
    ulimit: filled(
      op.ulimits.map(({ name, soft = -1, hard = -1 }) => ({
        Name: name,
        Soft: filled(soft),
        Hard: filled(hard),
      })),
    ),
    cgroupParent: filled(op.cgroupParent),
    removeMountStubsRecursive: mountStubs ? true : undefined,
  }
}

/** In the order in which variables were set last. */
function environmentOf({ env, envOrder }: ExecOp): readonly string[] {
  if (envOrder === undefined) return env
  return envOrder.flatMap((place) => env[place] ?? [])
}

type Secret = Extract<ExecMount, { kind: 'secret' }>
type Agent = Extract<ExecMount, { kind: 'ssh' }>

const secretsOf = ({ mounts }: ExecOp) => mounts.filter((mount): mount is Secret => mount.kind === 'secret')
const agentsOf = ({ mounts }: ExecOp) => mounts.filter((mount): mount is Agent => mount.kind === 'ssh')

/** All that have a target of their own, by target: the root file system first. */
function mountsOf(
  op: ExecOp,
  vertex: Pick<Vertex, 'inputs'>,
  { nodeOf, contextPart }: ExecInputs,
  dialect: Dialect,
): readonly Mount[] | undefined {
  const filesAt = (index: number | undefined, source: string): MountedFiles => {
    const input = index === undefined ? undefined : vertex.inputs[index]
    if (input === undefined) return { node: undefined, path: source, isKnown: true }
    const part = contextPart(input)
    const node = part?.node ?? nodeOf(input)
    return { node, path: part?.path ?? source, isKnown: node !== undefined }
  }
  const rootfs = filesAt(op.rootfs, '/')
  const mounts: Mount[] = [
    { target: '/', node: rootfs.node, source: '', output: 0, readOnly: false, type: types.bind },
  ]
  if (!rootfs.isKnown) return undefined
  for (const { path, content } of op.scripts) {
    const step = inlineFile(posix.basename(path), content, 0o755)
    const target = `${posix.dirname(path)}/`
    mounts.push({
      target,
      node: { kind: 'step', step },
      source: '/',
      output: -1,
      readOnly: true,
      type: types.bind,
    })
  }
  for (const mount of op.mounts) {
    if (mount.kind === 'secret' || mount.kind === 'ssh') continue
    const made = placedMount(mount, filesAt, dialect)
    if (made === undefined) return undefined
    mounts.push(made)
  }
  if (op.shmSizeBytes !== undefined) {
    if (!dialect.tmpfsOptions) return undefined
    mounts.push(tmpfs('/dev/shm', op.shmSizeBytes, dialect))
  }
  return mounts.sort((a, b) => (a.target < b.target ? -1 : a.target > b.target ? 1 : 0))
}

function placedMount(
  mount: Exclude<ExecMount, Secret | Agent>,
  filesAt: FilesAt,
  dialect: Dialect,
): Mount | undefined {
  switch (mount.kind) {
    case 'tmpfs':
      if (mount.sizeBytes !== undefined && !dialect.tmpfsOptions) return undefined
      return tmpfs(mount.target, mount.sizeBytes, dialect)
    case 'bind': {
      const { target, readOnly } = mount
      const { node, path, isKnown } = filesAt(mount.input, mount.source)
      if (!isKnown) return undefined
      const source = path === '/' ? '' : path
      return { target, node, source, output: -1, readOnly, type: types.bind }
    }
    case 'cache':
      return cacheMount(mount, filesAt, dialect)
  }
}

function tmpfs(target: string, size: number | undefined, { tmpfsOptions }: Dialect): Mount {
  const options = tmpfsOptions ? { TmpfsOpt: { size: filled(size) } } : {}
  return { target, node: undefined, source: '', output: -1, readOnly: false, type: types.tmpfs, options }
}

const sharings = { shared: 0, private: 1, locked: 2 } as const

function cacheMount(
  mount: Extract<ExecMount, { kind: 'cache' }>,
  filesAt: FilesAt,
  dialect: Dialect,
): Mount | undefined {
  const { target, readOnly, mode, uid, gid } = mount
  const { node, path, isKnown } = filesAt(mount.input, mount.source)
  if (!isKnown) return undefined
  // The namespace is in front of it; that of nobody is ''.
  const id = `/${mount.id}`
  const sharing = sharings[mount.sharing]
  const isDefault = sharing === 0 && (id === target || id.slice(id.indexOf('/') + 1) === target)
  const counted = dialect.clearsCacheIds && !isDefault ? {} : { ID: id, sharing: filled(sharing) }
  const placed = { target, output: -1, readOnly, type: types.cache, options: { cacheOpt: counted } }
  const isOwned = mode !== undefined || uid !== undefined || gid !== undefined
  if (path !== '/' || !isOwned) return { ...placed, node, source: path === '/' ? '' : path }
  // What is made in an image's or a stage's files is made upon them: no key of ours.
  if (node !== undefined) return undefined
  const owner = ownerValue(`${uid ?? 0}:${gid ?? 0}`, -1, dialect)
  const step = inlineDirectory('/cache', mode ?? 0o755, owner)
  return { ...placed, node: { kind: 'step', step }, source: '/cache' }
}

function mountValue(mount: Mount, index: number, dialect: Dialect): GoValue {
  const { target, output, readOnly, type, options } = mount
  const number = (value: number) => (dialect.writesZeroIndexes ? value : filled(value))
  return {
    input: number(index),
    dest: target,
    output: number(output),
    readonly: filled(readOnly),
    mountType: filled(type),
    ...options,
  }
}

function secretValue(secret: Secret, dialect: Dialect): readonly GoValue[] {
  const { id, target, required, mode, uid, gid } = secret
  if (target === undefined) return []
  const secretOpt = {
    ID: id,
    uid: filled(uid),
    gid: filled(gid),
    mode: filled(mode),
    optional: filled(!required),
  }
  return [{ ...unplaced(target, dialect), mountType: types.secret, secretOpt }]
}

function secretVariable({ id, env, required }: Secret): readonly GoValue[] {
  return env === undefined ? [] : [{ ID: id, name: env, optional: filled(!required) }]
}

function agentValue({ id, target, required, mode, uid, gid }: Agent, dialect: Dialect): GoValue {
  const SSHOpt = {
    // Without an id there is none in the message, and the default agent is given.
    ID: id === 'default' ? undefined : id,
    uid: filled(uid),
    gid: filled(gid),
    mode: filled(mode),
    optional: filled(!required),
  }
  return { ...unplaced(target, dialect), mountType: types.ssh, SSHOpt }
}

function unplaced(dest: string, { secretsWithoutInput, writesZeroIndexes }: Dialect) {
  const zero = writesZeroIndexes ? 0 : undefined
  return { input: secretsWithoutInput ? -1 : zero, dest, output: zero }
}

function inputOf(node: KeyedNode, mounts: readonly Mount[], dialect: Dialect): KeyedInput {
  const paths = mounts.flatMap(({ source }) => {
    if (source !== '') return [posix.join('/', source)]
    return dialect.rootSelector ? ['/'] : []
  })
  const selector = paths.length === 0 ? '' : digestBytes(paths.join('\0'))
  return { node, selector, content: countsContent(mounts, dialect) ? contentOf(paths, dialect) : undefined }
}

function countsContent(mounts: readonly Mount[], { safeContent }: Dialect): boolean {
  if (!safeContent) {
    return mounts.every(({ readOnly, target, output }) => (readOnly && target !== '/') || output === -1)
  }
  const last = mounts.at(-1)
  return last !== undefined && last.target !== '/'
}

function contentOf(paths: readonly string[], { safeContent }: Dialect): readonly ContentSelector[] {
  const whole: ContentSelector = { path: '/', wildcard: false, followLinks: false, exclude: [] }
  const kept = withoutChildren(paths)
  if (kept.length === 0 || (safeContent && kept.includes('/'))) return [whole]
  return kept.map((path) => ({ ...whole, path, followLinks: true }))
}
