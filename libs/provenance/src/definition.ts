import { type Digest, digestBytes } from '@tsbuild/digest'
import type { ExecMount, ExecOp, FileAction, FileOp, Graph, Op, Vertex } from '@tsbuild/graph'
import { parsePlatform } from '@tsbuild/oci'
import { hidden, type Scrubber, splitVariable } from './secret-values.ts'

/** A graph in the words of BuildKit's LLB as JSON. */
export interface Definition {
  readonly llbDefinition: readonly DefinitionStep[]
  /** The steps by their digests. */
  readonly digestMapping: Readonly<Record<string, string>>
}

/** A vertex, inputs first; the last has no op and names the result. */
export interface DefinitionStep {
  /** `step0` and so on. */
  readonly id: string
  readonly op: Readonly<Record<string, unknown>>
  /** `step0:0` */
  readonly inputs?: readonly string[]
}

/** Writes a graph down; secrets and proxies are not in it. */
export function definitionOf({ vertices, target }: Graph, scrubber: Scrubber): Definition {
  const ids = stepIds(vertices)
  const outputOf = (digest: Digest) => `${ids.get(digest)}:0`
  const steps: DefinitionStep[] = vertices.map((vertex) => ({
    id: `${ids.get(vertex.digest)}`,
    op: scrubber.scrub({ Op: opJson(vertex.op, vertex.inputs.length, scrubber), ...platformJson(vertex.op) }),
    ...(vertex.inputs.length === 0 ? {} : { inputs: vertex.inputs.map(outputOf) }),
  }))
  if (target !== undefined)
    steps.push({ id: `step${steps.length}`, op: { Op: null }, inputs: [outputOf(target)] })
  return { llbDefinition: steps, digestMapping: digestsOf(steps) }
}

/**
 * Of the steps as they are told, inputs by their own digests. The vertex's own digest is made of its secrets too: whoever has it can
 * try values until one fits.
 */
function digestsOf(steps: readonly DefinitionStep[]): Definition['digestMapping'] {
  const digests = new Map<string, Digest>()
  for (const { id, op, inputs = [] } of steps) {
    const below = inputs.map((input) => digests.get(input.replace(/:0$/, '')) ?? input)
    digests.set(id, digestBytes(JSON.stringify([op, below])))
  }
  return Object.fromEntries([...digests].map(([id, digest]) => [digest, id]))
}

/** How the vertices of a graph are called. */
export function stepIds(vertices: readonly Vertex[]): ReadonlyMap<Digest, string> {
  return new Map(vertices.map(({ digest }, index) => [digest, `step${index}`]))
}

function opJson(op: Op, inputs: number, scrubber: Scrubber): Readonly<Record<string, unknown>> {
  switch (op.kind) {
    case 'image':
      return { source: { identifier: `docker-image://${op.reference.replace(/@.*/s, '')}@${op.manifest}` } }
    case 'local':
      return { source: { identifier: `local://${op.name}` } }
    case 'http':
      return {
        source: {
          identifier: op.url,
          attrs: present({ 'http.checksum': op.checksum, 'http.filename': op.filename }),
        },
      }
    case 'git':
      return {
        source: {
          identifier: `git://${op.remote.replace(/^[a-z]+:\/\//, '')}${op.ref === '' ? '' : `#${op.ref}`}`,
          attrs: present({
            'git.fullurl': op.remote,
            'git.checksum': op.checksum,
            'git.keepgitdir': op.keepGitDir ? 'true' : undefined,
            'git.subdir': op.subdir === '' ? undefined : op.subdir,
          }),
        },
      }
    case 'exec':
      return { exec: execJson(op, scrubber) }
    case 'file':
      return { file: { actions: op.actions.map((action, index) => actionJson(op, action, index, inputs)) } }
    case 'merge':
      return { merge: { inputs: Array.from({ length: inputs }, (_, input) => ({ input })) } }
  }
}

function platformJson(op: Op) {
  if (op.kind !== 'exec') return {}
  const { os, architecture, variant } = parsePlatform(op.platform)
  return { platform: present({ OS: os, Architecture: architecture, Variant: variant }) }
}

const networks = { default: undefined, host: 1, none: 2 } as const

function execJson(op: ExecOp, scrubber: Scrubber) {
  const env = op.env.map((entry) => {
    const [name, value] = splitVariable(entry)
    return `${name}=${scrubber.argument(name, value)}`
  })
  return present({
    meta: present({
      args: op.args,
      env,
      cwd: op.cwd,
      user: orAbsent(op.user),
      hostname: orAbsent(op.hostname),
      extraHosts:
        op.extraHosts.length === 0
          ? undefined
          : op.extraHosts.map(({ name, ip }) => ({ Host: name, IP: ip })),
    }),
    mounts: [
      { input: op.rootfs ?? -1, dest: '/', output: 0 },
      ...op.scripts.map(({ path }) => ({ input: -1, dest: path, readonly: true })),
      ...op.mounts.flatMap(mountJson),
    ],
    secretenv: orAbsentList(
      op.mounts.flatMap((mount) =>
        mount.kind === 'secret' && mount.env !== undefined
          ? [present({ ID: mount.id, name: mount.env, optional: mount.required ? undefined : true })]
          : [],
      ),
    ),
    network: networks[op.network],
    security: op.security === 'insecure' ? 1 : undefined,
  })
}

function mountJson(mount: ExecMount): readonly Readonly<Record<string, unknown>>[] {
  switch (mount.kind) {
    case 'bind':
      return [
        present({
          input: mount.input ?? -1,
          selector: mount.source === '/' ? undefined : mount.source,
          dest: mount.target,
          readonly: mount.readOnly ? true : undefined,
        }),
      ]
    case 'cache':
      return [
        present({
          input: mount.input ?? -1,
          dest: mount.target,
          readonly: mount.readOnly ? true : undefined,
          mountType: 3,
          cacheOpt: present({
            ID: mount.id,
            sharing: ({ shared: undefined, private: 1, locked: 2 } as const)[mount.sharing],
          }),
        }),
      ]
    case 'tmpfs':
      return [
        present({
          input: -1,
          dest: mount.target,
          mountType: 4,
          TmpfsOpt: mount.sizeBytes === undefined ? undefined : { size: mount.sizeBytes },
        }),
      ]
    case 'secret': {
      if (mount.target === undefined) return []
      const { id, uid, gid, mode, required } = mount
      const secretOpt = present({ ID: id, uid, gid, mode, optional: required ? undefined : true })
      return [{ input: -1, dest: mount.target, mountType: 1, secretOpt }]
    }
    case 'ssh': {
      const { id, uid, gid, mode, required } = mount
      const SSHOpt = present({ ID: id, uid, gid, mode, optional: required ? undefined : true })
      return [{ input: -1, dest: mount.target, mountType: 2, SSHOpt }]
    }
  }
}

/** The first action changes the root file system, each further one what the one before made. */
function actionJson(op: FileOp, action: FileAction, index: number, inputs: number) {
  const last = index === op.actions.length - 1
  return {
    Action: changeJson(action),
    input: index === 0 ? (op.rootfs ?? -1) : inputs + index - 1,
    secondaryInput: action.kind === 'copy' ? action.input : -1,
    output: last ? 0 : -1,
  }
}

function changeJson(action: FileAction): Readonly<Record<string, unknown>> {
  switch (action.kind) {
    case 'copy':
      return {
        copy: present({
          src: action.sources.length === 1 ? action.sources[0] : action.sources,
          dest: action.dest,
          owner: action.chown,
          mode: action.chmod,
          excludePatterns: orAbsentList(action.exclude),
          attemptUnpackDockerCompatibility: action.unpack ? true : undefined,
        }),
      }
    case 'mkdir':
      return {
        mkdir: present({ path: action.path, mode: action.mode, makeParents: true, owner: action.owner }),
      }
    case 'mkfile':
      return {
        mkfile: present({
          path: action.dest,
          // Of a heredoc: its text is in the Dockerfile, and a secret in base64 is one that nobody finds.
          data: action.content === '' ? undefined : hidden,
          owner: action.owner,
          mode: action.chmod,
        }),
      }
  }
}

function orAbsent(text: string): string | undefined {
  return text === '' ? undefined : text
}

function orAbsentList<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list
}

/** Without the members that are undefined. */
export function present(members: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
}
