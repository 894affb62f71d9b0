import type { RemoteSources, RemoteTree } from '@tsbuild/context'
import type { GitOp, Graph, HttpOp } from '@tsbuild/graph'
import { imagePackageUrl, type Platform } from '@tsbuild/oci'
import type { Material } from '@tsbuild/provenance'
import { mainContextSource, namedContextSource } from '../contexts/context-source.ts'
import type { BuildOptions } from '../types.ts'

type Remote = Omit<HttpOp, 'kind'> | Omit<GitOp, 'kind'>

/** Notes what a build resolved and fetched, while it does. */
export interface MaterialLog {
  image(reference: string, manifest: string, platform: Platform): void
  /** The same sources, whose answers are noted. */
  remote(sources: RemoteSources): RemoteSources
  /** For which platform an image was resolved. */
  platformOf(reference: string, manifest: string): Platform | undefined
  /** What was fetched from a place. */
  fetched(place: string): Material | undefined
}

/** Starts an empty log. */
export function createMaterialLog(): MaterialLog {
  const images = new Map<string, Platform>()
  const remotes = new Map<string, Material>()
  const note = (source: Remote, { pinned }: RemoteTree) => {
    const place = placeOf(source)
    remotes.set(place, { uri: place, digest: digestOf(pinned) })
  }
  return {
    image: (reference, manifest, platform) => void images.set(`${reference} ${manifest}`, platform),
    remote: ({ http, git }) => ({
      async http(source, options) {
        const tree = await http(source, options)
        note(source, tree)
        return tree
      },
      async git(source, options) {
        const tree = await git(source, options)
        note(source, tree)
        return tree
      },
    }),
    platformOf: (reference, manifest) => images.get(`${reference} ${manifest}`),
    fetched: (place) => remotes.get(place),
  }
}

/** How a material is called: what identifies it, without how it is used. */
function placeOf(source: Remote): string {
  return 'url' in source ? source.url : gitPlace(source)
}

function gitPlace({ remote, ref }: Pick<GitOp, 'remote' | 'ref'>): string {
  return ref === '' ? remote : `${remote}#${ref}`
}

/** A digest of bytes, or a commit. */
function digestOf(pinned: string): Readonly<Record<string, string>> {
  const [, hex] = /^sha256:(.*)$/.exec(pinned) ?? []
  if (hex !== undefined) return { sha256: hex }
  return pinned.length === 64 ? { sha256: pinned } : { sha1: pinned }
}

/** What one image was made of. */
export interface Materials {
  /** Where the build context came from, where that is on record. */
  readonly source: Material | undefined
  readonly materials: readonly Material[]
  /** See `BuildDescription.locals`. */
  readonly locals: readonly string[]
}

/** Goes through the sources of a graph, in its order. Whatever was fetched without a record of its digest counts as local. */
export function materialsOf({ vertices }: Graph, log: MaterialLog, options: BuildOptions): Materials {
  const materials: Material[] = []
  const locals = new Set<string>()
  const addContext = (name: string, place: string | undefined) => {
    const found = place === undefined ? undefined : log.fetched(place)
    if (found === undefined) locals.add(name)
    else materials.push(found)
    return found
  }
  const main = contextPlace('context', options)
  const source = main === undefined ? undefined : addContext('context', main)
  const dockerfile = isUrl(options.dockerfile) ? options.dockerfile : source?.uri
  if (dockerfile === undefined || options.dockerfile === '-') locals.add('dockerfile')
  else if (dockerfile !== source?.uri) addContext('dockerfile', dockerfile)
  for (const { op } of vertices) {
    switch (op.kind) {
      case 'image': {
        const { reference, manifest } = op
        const uri = imagePackageUrl(reference, log.platformOf(reference, manifest))
        materials.push({ uri, digest: digestOf(manifest) })
        break
      }
      case 'http':
      case 'git':
        addContext(placeOf(op), placeOf(op))
        break
      case 'local':
        addContext(op.name, contextPlace(op.name, options))
    }
  }
  return { source, materials, locals: [...locals].sort() }
}

/** Undefined for what is on this machine alone. */
function contextPlace(name: string, { context, cwd, buildContexts = {} }: BuildOptions): string | undefined {
  const given = Object.hasOwn(buildContexts, name) ? buildContexts[name] : undefined
  const source = given === undefined ? mainContextSource(context, cwd) : namedContextSource(name, given, cwd)
  if (source.kind === 'git') return gitPlace(source.url)
  return source.kind === 'http' ? source.url : undefined
}

function isUrl(text: string | undefined): text is string {
  return text !== undefined && /^https?:\/\//i.test(text)
}
