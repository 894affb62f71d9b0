/** `--attest`, `--provenance`, `--sbom`: what is said about the images of a build, and stored with them. */
export interface AttestationSpecs {
  readonly provenance?: ProvenanceSpec | undefined
  readonly sbom?: SbomSpec | undefined
}

/** How a build was made. @see docs/reference/attestations.md */
export interface ProvenanceSpec {
  /** `min` tells the value of no argument. Default `max`, as with BuildKit. */
  readonly mode?: 'min' | 'max' | undefined
  /** Of SLSA's provenance. Default `v1`. */
  readonly version?: 'v1' | 'v0.2' | undefined
  /** Who built it, a URL. */
  readonly builderId?: string | undefined
  /** Of the file in outputs of files. Default `provenance.json`. */
  readonly filename?: string | undefined
  /** With images alone, not beside files. */
  readonly inlineOnly?: boolean | undefined
  /** The caller's promise that the same build gives the same bytes: times and the id of the build are left out. */
  readonly reproducible?: boolean | undefined
}

/** What is installed in an image. */
export interface SbomSpec {
  /** An image that makes the list, in the place of tsbuild's own readers. */
  readonly generator?: string | undefined
}

/** The provenance of one image of a build. */
export interface BuiltProvenance {
  /** `linux/arm64` */
  readonly platform: string
  /** Of `mode=min`, whatever is stored. */
  readonly predicate: Readonly<Record<string, unknown>>
}
