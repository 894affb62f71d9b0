import type { RegistryRule } from '@tsbuild/registry'

/** Where the certificates of a host are; paths as the file has them. */
export interface HostFiles {
  /** `host[:port]`. */
  readonly host: string
  readonly ca: readonly string[]
  readonly client: { readonly certificate: string; readonly key: string } | undefined
  /** The file that names them, for messages. */
  readonly file: string
}

/** What one configuration file says about registries. */
export interface RegistryConfig {
  readonly rules: readonly RegistryRule[]
  /** `host[:port]`, which is for that port alone, and networks such as `10.0.0.0/8`. */
  readonly insecure: readonly string[]
  /** Undefined where the file does not say. */
  readonly searchIn: readonly string[] | undefined
  readonly files: readonly HostFiles[]
}

/** What a file says that says nothing. */
export const emptyConfig: RegistryConfig = { rules: [], insecure: [], searchIn: undefined, files: [] }
