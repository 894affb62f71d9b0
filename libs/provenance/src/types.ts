import type { Graph } from '@tsbuild/graph'
import type { Descriptor, Platform } from '@tsbuild/oci'

/** What was built, how, and of what: all that a provenance is made from. */
export interface BuildDescription {
  /** Where the Dockerfile and the context came from; undefined where that is a directory or standard input. */
  readonly source: Material | undefined
  readonly dockerfile: { readonly name: string; readonly text: string }
  readonly target: string | undefined
  /** As given with `--build-arg`. */
  readonly buildArgs: Readonly<Record<string, string>>
  /** As given with `--label`. */
  readonly labels: Readonly<Record<string, string>>
  /** `--build-context`, as given. */
  readonly contexts: Readonly<Record<string, string>>
  /** Names of the contexts whose files are on no record elsewhere: directories, standard input. */
  readonly locals: readonly string[]
  readonly graph: Graph
  /** Everything that came from elsewhere and is named by a digest, in the order of the graph. */
  readonly materials: readonly Material[]
  /** Of the machine. */
  readonly builderPlatform: Platform
  readonly invocationId: string
  /** Unix ms. */
  readonly startedAt: number
  /** Unix ms. */
  readonly finishedAt: number
  /** Of the image, lowest first; empty for files that are no image. */
  readonly layers: readonly Descriptor[]
}

/** Something that a build was made of. */
export interface Material {
  /** A package URL of an image, or a URL. Credentials are taken out when it is written. */
  readonly uri: string
  /** By algorithm (`sha256`, `sha1` for a commit), in hex. */
  readonly digest: Readonly<Record<string, string>>
}

/** `--provenance`. */
export interface ProvenanceOptions {
  /** `min` tells no value of an argument, `max` all that is known. */
  readonly mode: 'min' | 'max'
  readonly version: 'v1' | 'v0.2'
  /** Who built it, as a URL. */
  readonly builderId?: string | undefined
  /** The builder's promise that the same build gives the same bytes. */
  readonly reproducible?: boolean | undefined
  /** Leaves out what differs each time: times and the invocation. */
  readonly timeless?: boolean | undefined
}

/** A predicate, as an in-toto statement holds it. */
export interface Provenance {
  readonly predicateType: 'https://slsa.dev/provenance/v1' | 'https://slsa.dev/provenance/v0.2'
  /** Plain JSON: nothing in it is undefined. */
  readonly predicate: Readonly<Record<string, unknown>>
}
