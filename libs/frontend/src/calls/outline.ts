import {
  type Instruction,
  parseMount,
  type RunInstruction,
  resolveStage,
  type Stage,
} from '@tsbuild/dockerfile'
import type { SourceRange } from '@tsbuild/errors'
import { globalScope } from '../arg-instruction.ts'
import type { StageObserver } from '../lint/observer.ts'
import type { StageState } from '../stage-state.ts'
import type { FrontendOptions } from '../types.ts'
import { createTolerance } from './tolerant.ts'

/** An argument that a target takes. */
export interface OutlineArg {
  readonly name: string
  /** What the comment above says of it. */
  readonly description: string | undefined
  /** The default as written, variables not expanded. */
  readonly default: string | undefined
  /** What the target sees with the build arguments given; undefined where it is not set. */
  readonly value: string | undefined
  readonly source: SourceRange
}

/** A secret, or an ssh agent, that a target mounts. */
export interface OutlineMount {
  readonly id: string
  /** The build fails without it. */
  readonly required: boolean
  readonly source: SourceRange
}

/** What a target can be given. */
export interface Outline {
  /** Of the stage; undefined for one without a name. */
  readonly name: string | undefined
  readonly description: string | undefined
  readonly args: readonly OutlineArg[]
  readonly secrets: readonly OutlineMount[]
  readonly ssh: readonly OutlineMount[]
}

/**
 * Lists the arguments, secrets and ssh agents that a target and the stages that it needs use, each once, in file order. A base
 * that cannot be resolved gives no values; nothing fails by it.
 *
 * @throws {UserError} `ERR_DOCKERFILE_STAGE_NOT_FOUND`
 * @see spec/dockerfile.md 1.9
 */
export async function outlineOf(given: FrontendOptions): Promise<Outline> {
  const { dockerfile } = given
  const target = resolveStage(dockerfile, given.target ?? null)
  const tolerance = createTolerance(given)
  const collector = createCollector(given)
  const options = { ...given, resolveImage: tolerance.resolveImage }
  await tolerance.visit(options, [target], collector.observer)
  return {
    name: target.name ?? undefined,
    description: target.from.description ?? undefined,
    ...collector.result(),
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

function createCollector(options: FrontendOptions) {
  const { dockerfile } = options
  const globals = globalScope(options)
  const reached: Stage[] = []
  const args = new Map<string, Mutable<OutlineArg>>()
  const mounts = { secret: new Map<string, OutlineMount>(), ssh: new Map<string, OutlineMount>() }
  const observer: StageObserver = {
    reached: (stage) => void reached.push(stage),
    started() {},
    unknownName() {},
    async apply(state, instruction, run) {
      if (instruction.kind === 'run') addMounts(mounts, state, instruction)
      await run()
      if (instruction.kind === 'arg') addArgs(args, state, instruction)
    },
  }
  const addGlobals = () => {
    const words = reached.flatMap(({ from }) => [from.image, from.platform ?? ''])
    for (const { args: declared, source } of dockerfile.globalArgs) {
      for (const { name, value, description } of declared) {
        const known = args.get(name)
        if (known !== undefined) {
          known.description ??= description ?? undefined
          known.default ??= value ?? undefined
          known.source = source
        } else if (words.some((word) => uses(word, name))) {
          args.set(name, {
            name,
            description: description ?? undefined,
            default: value ?? undefined,
            value: globals.get(name),
            source,
          })
        }
      }
    }
  }
  return {
    observer,
    result() {
      addGlobals()
      return {
        args: [...args.values()].toSorted(byPlace),
        secrets: [...mounts.secret.values()].toSorted(byPlace),
        ssh: [...mounts.ssh.values()].toSorted(byPlace),
      }
    },
  }
}

function byPlace(a: { readonly source: SourceRange }, b: { readonly source: SourceRange }): number {
  return a.source.startLine - b.source.startLine
}

function uses(word: string, name: string): boolean {
  return [...word.matchAll(/\$\{?([\p{L}\p{Nd}_]+)/gu)].some((match) => match[1] === name)
}

function addArgs(
  args: Map<string, Mutable<OutlineArg>>,
  { scope }: StageState,
  { args: declared, source }: Extract<Instruction, { kind: 'arg' }>,
): void {
  const values = new Map(scope.environment().map((entry) => splitOnce(entry)))
  for (const { name, value, description } of declared) {
    const known = args.get(name)
    if (known === undefined) {
      args.set(name, {
        name,
        description: description ?? undefined,
        default: value ?? undefined,
        value: values.get(name),
        source,
      })
      continue
    }
    known.description ??= description ?? undefined
    known.default ??= value ?? undefined
    known.value ??= values.get(name)
  }
}

function splitOnce(entry: string): readonly [string, string] {
  const at = entry.indexOf('=')
  return [entry.slice(0, at), entry.slice(at + 1)]
}

function addMounts(
  mounts: Readonly<Record<'secret' | 'ssh', Map<string, OutlineMount>>>,
  { scope }: StageState,
  { mounts: flags, source }: RunInstruction,
): void {
  for (const flag of flags) {
    const mount = parseMount(flag, { expand: (word) => scope.expand(word, source), source })
    if (mount.type !== 'secret' && mount.type !== 'ssh') continue
    const known = mounts[mount.type].get(mount.id)
    mounts[mount.type].set(mount.id, {
      id: mount.id,
      required: mount.required || known?.required === true,
      source: known?.source ?? source,
    })
  }
}
