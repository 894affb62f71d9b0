import type { GitOp, HttpOp } from '@tsbuild/graph'
import type { Tree } from '@tsbuild/native'

/** A secret by its id; undefined if there is none. */
export type SecretSource = (id: string) => Promise<Uint8Array | undefined>

/** What was fetched. Its files are read by whoever wants them, through the helper. */
export interface RemoteTree {
  readonly tree: Tree
  /** What it is, for messages: the URL or repository without credentials. */
  readonly shown: string
  /** Exactly what it is: the digest of a file's bytes, the commit of a repository. */
  readonly pinned: string
  /** Unix seconds: Last-Modified, or the time of the commit; undefined where the server does not say. */
  readonly sourceDate: number | undefined
}

/** See {@link RemoteSources}. */
export interface FetchOptions {
  readonly signal: AbortSignal
  /** Bytes received so far, and how many there will be where that is known. */
  readonly onProgress?: ((received: number, total: number | undefined) => void) | undefined
}

/** Brings what stands elsewhere into the store. The same source asked for twice at once is fetched once. */
export interface RemoteSources {
  /**
   * A directory with the one file: 0600, its time is Last-Modified or 1970. What is known is revalidated by its ETag or
   * Last-Modified; with `checksum` and the bytes at hand no server is asked. Credentials are the secrets
   * `HTTP_AUTH_TOKEN_<host>` and `HTTP_AUTH_HEADER_<host>`, else the user info of the URL.
   * @throws {UserError} `ERR_HTTP_STATUS`, `ERR_DIGEST_MISMATCH`, `ERR_URL_INVALID`, `ERR_SECRET`, `ERR_CANCELLED`
   * @throws {EnvironmentError} `ERR_HTTP_UNREACHABLE`, `ERR_HTTP_RESPONSE`
   * @see docs/dev/url-sources.md
   */
  http(source: Omit<HttpOp, 'kind'>, options: FetchOptions): Promise<RemoteTree>
  /**
   * A directory with the files of the commit.
   * @throws {UserError} `ERR_GIT_REF_NOT_FOUND`, `ERR_GIT_CONTENT`, `ERR_DIGEST_MISMATCH`, `ERR_URL_INVALID`, `ERR_SECRET`
   * @throws {EnvironmentError} `ERR_GIT_FAILED`, `ERR_TOOL_MISSING`
   */
  git(source: Omit<GitOp, 'kind'>, options: FetchOptions): Promise<RemoteTree>
}
