import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Builder, type BuildOptions, createBuilder } from '@tsbuild/builder'
import { type BuildError, isBuildError } from '@tsbuild/errors'
import type { BuildEvent } from '@tsbuild/events'
import { repository } from '../../support/repository.ts'
import { type Case, type MadeCase, makeCase } from './case.ts'
import { makeContext, parseContextFiles } from './make-context.ts'
import { type Image, readImage } from './read-image.ts'
import type { WarningWant } from './want.ts'

/** The base images, each after those that it is made from. Its tag is `<folder>:1`. */
export const baseNames = ['test-base', 'test-bare', 'test-config', 'test-onbuild', 'test-special'] as const

/** A file system that overlayfs takes as the place of a store. */
const temporary = process.env.TMPDIR ?? '/var/tmp'

/** What a build of a case came to. */
export interface Built {
  readonly image: Image
  /** The archive that the image was read from, as `docker load` takes it. */
  readonly archive: string
  readonly warnings: readonly WarningWant[]
  /** Of the last build, by the text of the step. */
  readonly executed: readonly string[]
  readonly cached: readonly string[]
}

/** One builder over one store, with the base images in it; builds any number of cases at a time. */
export interface Workshop {
  readonly folder: string
  /** Where each base image is, as an archive that `docker load` takes. */
  readonly bases: ReadonlyMap<string, Built>
  /** Makes the files of a case. */
  readonly make: (one: Case) => MadeCase
  /** Builds a case; where it has an again.json, once more after the change. @throws what the build throws */
  readonly build: (one: Case) => Promise<Built>
  readonly close: () => Promise<void>
}

/** A workshop that is opened when a case first needs one: to read a Dockerfile needs none, and no root. */
export interface SharedWorkshop {
  readonly open: () => Promise<Workshop>
  readonly close: () => Promise<void>
}

/** Shares one workshop among the cases of a test file. */
export function shareWorkshop(): SharedWorkshop {
  let opening: Promise<Workshop> | undefined
  const open = () => {
    opening ??= openWorkshop()
    return opening
  }
  return { open, close: async () => await (await opening)?.close() }
}

/** Opens a workshop in a temporary folder. Needs root: contexts and base images hold files of any owner, and devices. */
export async function openWorkshop(): Promise<Workshop> {
  const folder = mkdtempSync(join(temporary, 'tsbuild-conformance-'))
  chmodSync(folder, 0o755)
  try {
    return await openIn(folder)
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

async function openIn(folder: string): Promise<Workshop> {
  const builder = await createBuilder({
    root: join(folder, 'store'),
    helperPath: join(repository, 'native/helper/bin/tsbuild-helper'),
    durability: 'none',
  })
  const bases = new Map<string, Built>()
  for (const name of baseNames) bases.set(`${name}:1`, await buildBase(builder, folder, name))
  let count = 0
  const make = (one: Case) => makeCase(one, newFolder(join(folder, `${one.name}-${count++}`)))
  return {
    folder,
    bases,
    make,
    build: (one) => buildCase(builder, one, make(one)),
    close: async () => {
      await builder.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function buildBase(builder: Builder, folder: string, name: string): Promise<Built> {
  const source = join(repository, 'test/conformance/bases', name)
  const made = newFolder(join(folder, name))
  const contextFile = join(source, 'context.json')
  makeContext(
    join(made, 'context'),
    parseContextFiles(JSON.parse(readFileSync(contextFile, 'utf8')), `${name}/context.json`),
  )
  return await buildOnce(builder, made, {
    cwd: made,
    context: 'context',
    dockerfile: join(source, 'Dockerfile'),
    tags: [`${name}:1`],
  })
}

async function buildCase(builder: Builder, one: Case, made: MadeCase): Promise<Built> {
  const { target, buildArgs, labels, cache, allow } = one.args
  const folder = join(made.context, '..')
  const options: BuildOptions = {
    cwd: folder,
    context: made.context,
    dockerfile: made.dockerfile,
    target,
    buildArgs,
    labels,
    buildContexts: made.buildContexts,
    secrets: mapValues(made.secrets, (path) => async () => readFileSync(path)),
    allow,
    noCache: cache !== true,
  }
  const first = await buildOnce(builder, folder, options)
  if (one.again === undefined) return first
  makeContext(made.context, one.again)
  return await buildOnce(builder, folder, { ...options, noCache: false })
}

function mapValues<T, U>(
  values: Readonly<Record<string, T>>,
  map: (value: T) => U,
): Readonly<Record<string, U>> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, map(value)]))
}

async function buildOnce(builder: Builder, folder: string, options: BuildOptions): Promise<Built> {
  const archive = join(folder, 'image.tar')
  const events: BuildEvent[] = []
  const outputs: BuildOptions['outputs'] = [
    { type: 'docker', dest: archive, compression: { type: 'uncompressed' } },
    ...(options.tags === undefined ? [] : [{ type: 'image' } as const]),
  ]
  await builder.build({ ...options, outputs, onEvent: (event) => events.push(event) }).result
  return {
    image: readImage(readFileSync(archive)),
    archive,
    warnings: events.flatMap((event) =>
      event.type === 'warning'
        ? [{ rule: event.rule, line: event.source?.startLine ?? null, message: event.message }]
        : [],
    ),
    executed: stepsOf(events, 'vertex.completed'),
    cached: stepsOf(events, 'vertex.cached'),
  }
}

/** The text of the Dockerfile's steps that ended so: `COPY a /` of `[stage-0 2/3] COPY a /`. */
function stepsOf(
  events: readonly BuildEvent[],
  type: 'vertex.completed' | 'vertex.cached',
): readonly string[] {
  const names = new Map(
    events.flatMap((event) => (event.type === 'vertex.planned' ? [[event.vertex, event.name] as const] : [])),
  )
  return events.flatMap((event) => {
    const name = event.type === type ? names.get(event.vertex) : undefined
    const text = name?.replace(/^\[[^\]]*\] /, '')
    return text !== undefined && /^(RUN|COPY|ADD|WORKDIR) /.test(text) ? [text] : []
  })
}

function newFolder(path: string): string {
  mkdirSync(path, { mode: 0o755 })
  return path
}

/** The error of a build that failed as a build may. @throws what is no such error */
export async function failureOf(attempt: Promise<unknown>): Promise<BuildError> {
  try {
    await attempt
  } catch (error) {
    if (isBuildError(error)) return error
    throw error
  }
  throw new Error('the build succeeded')
}
