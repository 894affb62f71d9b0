/**
 * How much a host has to prove: `verified` speaks HTTPS with a certificate that is trusted, `unverified` HTTPS with any
 * certificate, `insecure` that or plain HTTP.
 */
export type Trust = 'verified' | 'unverified' | 'insecure'

/** A place to pull from instead of the registry that a name means. */
export interface MirrorRule {
  /** `host[:port][/path]`: takes the place of the rule's prefix. */
  readonly location: string
  /** For which pulls it is asked: all, those by digest, those by tag. A blob has a digest. */
  readonly pull: 'all' | 'digest' | 'tag'
  readonly trust: Trust
}

/** What one entry of a configuration file says about the names below a prefix. */
export interface RegistryRule {
  /** `host[:port]`, that with a path, a tag or a digest behind it, or `*.host` for every host below. */
  readonly prefix: string
  /** `host[:port][/path]` that takes the place of the prefix when something is read; undefined for none. */
  readonly location: string | undefined
  /** Asked in this order before the location. */
  readonly mirrors: readonly MirrorRule[]
  readonly trust: Trust
  /** Nothing is asked for names below the prefix. */
  readonly blocked: boolean
  /** The file that says so, for messages. */
  readonly file: string
}

/** What a host is shown, and what proves it: PEM texts. */
export interface HostCertificates {
  /** Authorities besides the general ones. */
  readonly ca: readonly string[]
  /** Shown to this host, and to no other. */
  readonly client: { readonly certificate: string; readonly key: string } | undefined
}

/** What configuration says about registries. Whoever reads the files makes one; nothing here does. */
export interface RegistryHosts {
  /** Of those that match, the one with the longest prefix counts, of equal ones the first. */
  readonly rules: readonly RegistryRule[]
  /** Registries as names have them (`host` is not `host:5000`), and networks as `10.0.0.0/8`, that are trusted as `insecure`. */
  readonly insecure: readonly string[]
  /** Where names without a registry are searched for, see `tsbuild search`. */
  readonly searchIn: readonly string[]
  /** Finds the certificates of `host[:port]`, without the port where it is 443. Called when the host is first connected to. */
  readonly certificates: (host: string) => Promise<HostCertificates | undefined>
}

/** What an empty configuration says. */
export const noHosts: RegistryHosts = {
  rules: [],
  insecure: [],
  searchIn: [],
  certificates: async () => undefined,
}
