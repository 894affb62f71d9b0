/** A package of an image, as one of its databases says. */
export interface Package {
  /** How it came there: `deb`, `apk`, `rpm`, `npm`, `pypi`, `golang`, `cargo`. */
  readonly type: string
  readonly name: string
  /** Empty where nobody says it. */
  readonly version: string
  /** A package URL. */
  readonly purl: string
  /** As the database has it: an SPDX expression, or any text. */
  readonly licence?: string | undefined
  /** Who made it, `Name <address>`. */
  readonly supplier?: string | undefined
  /** The file of the image that says so. */
  readonly location: string
  /** Of what was installed, where the database knows it. */
  readonly checksums?: readonly Checksum[] | undefined
}

/** In hex. */
export interface Checksum {
  readonly algorithm: 'SHA1' | 'SHA256' | 'SHA512' | 'MD5'
  readonly value: string
}

/** What `/etc/os-release` says. */
export interface OsRelease {
  /** `debian`; empty where nobody says it. */
  readonly id: string
  /** `12` */
  readonly versionId: string
  /** `Debian GNU/Linux 12 (bookworm)` */
  readonly prettyName: string
}

/** What is installed in a file system. */
export interface Inventory {
  readonly os: OsRelease
  /** Sorted by package URL, then by location; none twice. */
  readonly packages: readonly Package[]
  /** What could not be read, a sentence each. */
  readonly notes: readonly string[]
}

/** Reads the file system of an image. What it gives is untrusted. */
export interface ImageReader {
  /** Regular files whose path matches, `.dockerignore` patterns; and sections of executables. */
  find(
    patterns: readonly string[],
    sections: readonly string[],
  ): Promise<{
    readonly files: readonly { readonly path: string; readonly size: number }[]
    readonly sections: readonly { readonly path: string; readonly name: string; readonly data: Buffer }[]
    readonly incomplete: boolean
  }>
  /** None of them has more bytes than it was found with. Null for what is no file (any more). */
  read(paths: readonly string[], maxBytes: number): Promise<readonly (Buffer | null)[]>
}

/** What a reader of one kind of database is given, and gives. */
export interface Source {
  /** From the root of the image. */
  readonly path: string
  readonly bytes: Buffer
  readonly os: OsRelease
  /** Says what could not be read. */
  readonly note: (text: string) => void
}
