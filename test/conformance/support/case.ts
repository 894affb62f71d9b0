import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { BuildOptions } from '@tsbuild/builder'
import { type ContextFiles, copyContext, makeContext, parseContextFiles } from './make-context.ts'
import { flag, listOf, mapOf, objectOf, optional, type Parse, text, word } from './parse.ts'
import { parseWant, type Want } from './want.ts'

/** The flags of a case's build; see README.md. */
export interface Args {
  readonly target: string | undefined
  readonly dockerfile: string | undefined
  readonly buildArgs: Readonly<Record<string, string>> | undefined
  readonly labels: Readonly<Record<string, string>> | undefined
  readonly cache: boolean | undefined
  /** Name → what stands after `name=`, or the files of a directory. */
  readonly buildContexts: Readonly<Record<string, string | ContextFiles>> | undefined
  /** Id → content. */
  readonly secrets: Readonly<Record<string, string>> | undefined
  readonly allow: readonly Entitlement[] | undefined
}

type Entitlement = NonNullable<BuildOptions['allow']>[number]

/** One folder of the corpus. */
export interface Case {
  readonly name: string
  readonly folder: string
  /** The text of the case's Dockerfile; undefined when it lies in the context only. */
  readonly dockerfile: string | undefined
  readonly context: ContextFiles
  readonly args: Args
  /** What is changed in the context before a second build. */
  readonly again: ContextFiles | undefined
  readonly want: Want
}

const files = new Set([
  ...['Dockerfile', 'Dockerfile.dockerignore', 'context', 'context.json'],
  ...['args.json', 'again.json', 'want.json'],
])

const parseArgs: Parse<Args> = objectOf({
  target: optional(text),
  dockerfile: optional(text),
  buildArgs: optional(mapOf(text)),
  labels: optional(mapOf(text)),
  cache: optional(flag),
  buildContexts: optional(
    mapOf((value, at) => (typeof value === 'string' ? value : parseContextFiles(value, at))),
  ),
  secrets: optional(mapOf(text)),
  allow: optional(listOf(word('network.host', 'security.insecure'))),
})

/** The names of the cases below a folder. */
export function listCases(root: string): readonly string[] {
  return readdirSync(root).toSorted()
}

/** Reads a case. @throws {Error} for a file or a key that means nothing */
export function readCase(folder: string): Case {
  const name = basename(folder)
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) throw new Error(`${name}: a case is named in words-with-dashes`)
  const stray = readdirSync(folder).filter((file) => !files.has(file))
  if (stray.length > 0) throw new Error(`${name}: ${stray.join(', ')} means nothing in a case`)
  const json = <T>(file: string, parse: Parse<T>, missing: unknown) => {
    const path = join(folder, file)
    const value = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : missing
    return parse(value, `${name}/${file}`)
  }
  const dockerfile = join(folder, 'Dockerfile')
  return {
    name,
    folder,
    dockerfile: existsSync(dockerfile) ? readFileSync(dockerfile, 'utf8') : undefined,
    context: json('context.json', parseContextFiles, {}),
    args: json('args.json', parseArgs, {}),
    again: json('again.json', optional(parseContextFiles), undefined),
    want: json('want.json', parseWant, undefined),
  }
}

/** A case's files as a build takes them. Absolute paths. */
export interface MadeCase {
  readonly context: string
  /** Undefined: to be found in the context. */
  readonly dockerfile: string | undefined
  /** Name → value for `--build-context`. */
  readonly buildContexts: Readonly<Record<string, string>>
  /** Id → the file that holds it. */
  readonly secrets: Readonly<Record<string, string>>
}

/** Makes the files of a case in an empty folder: the context, and beside it the Dockerfile. */
export function makeCase(one: Case, folder: string): MadeCase {
  const context = join(folder, 'context')
  mkdirSync(context, { recursive: true })
  if (existsSync(join(one.folder, 'context'))) copyContext(join(one.folder, 'context'), context)
  makeContext(context, one.context)
  for (const file of ['Dockerfile', 'Dockerfile.dockerignore']) {
    if (existsSync(join(one.folder, file))) copyFileSync(join(one.folder, file), join(folder, file))
  }
  const named = Object.entries(one.args.buildContexts ?? {}).map(([name, value]) => {
    if (typeof value === 'string') return [name, value] as const
    const path = join(folder, 'contexts', name)
    makeContext(path, value)
    return [name, path] as const
  })
  const secrets = Object.entries(one.args.secrets ?? {}).map(([id, content], index) => {
    const path = join(folder, `secret-${index}`)
    writeFileSync(path, content)
    return [id, path] as const
  })
  return {
    context,
    dockerfile:
      one.args.dockerfile === undefined
        ? one.dockerfile && join(folder, 'Dockerfile')
        : join(context, one.args.dockerfile),
    buildContexts: Object.fromEntries(named),
    secrets: Object.fromEntries(secrets),
  }
}
