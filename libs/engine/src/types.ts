import type { Digest } from '@tsbuild/digest'
import type { ArchiveImage } from '@tsbuild/oci'

/** Where an engine listens. */
export type EngineAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly tls?: EngineTls }

/** PEM texts for an engine behind TLS. */
export interface EngineTls {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** False where the user said that the engine's certificate proves nothing. */
  readonly verify: boolean
}

/** What says where the engine is. Nothing is read from the environment of the process. */
export interface EngineSettings {
  /** DOCKER_HOST, DOCKER_CONTEXT, DOCKER_CERT_PATH, DOCKER_TLS_VERIFY, DOCKER_CONFIG, CONTAINER_HOST, XDG_RUNTIME_DIR, HOME. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** A docker context, which wins over the environment. */
  readonly context?: string | undefined
}

/** One place where an engine may listen. */
export interface EngineCandidate {
  readonly address: EngineAddress
  /** What named it, for messages: `DOCKER_HOST`, `docker context "x"`; undefined for one of the usual places. */
  readonly namedBy: string | undefined
}

/** What an engine is. */
export interface EngineIdentity {
  readonly kind: 'docker' | 'podman'
  /** `20.10.24+dfsg1` */
  readonly version: string
  /** Of Docker's API, `1.41`; undefined where the engine does not say. */
  readonly apiVersion: string | undefined
  /**
   * How images are kept: by the digest of their config, layers unpacked (`layers`: Docker's graph drivers, podman); or as
   * blobs by the digest of their manifest (`content`: Docker with the containerd image store).
   */
  readonly store: 'layers' | 'content'
}

/** For {@link Engine.load}. */
export interface LoadOptions {
  readonly signal?: AbortSignal | undefined
  /** Called with the bytes of the archive that were sent so far. */
  readonly onProgress?: ((sentBytes: number) => void) | undefined
}

/** What a load did. */
export interface LoadResult {
  /** As the engine names the image. */
  readonly imageId: Digest
  /** In full form; each of them is the image now. */
  readonly names: readonly string[]
  /** Of the image, and those of them whose bytes were sent. */
  readonly layers: { readonly total: number; readonly sent: number }
  /** Of the archive; 0 where the engine had the image. */
  readonly sentBytes: number
}

/** A running engine. */
export interface Engine {
  readonly identity: EngineIdentity
  /** `Docker 20.10.24 at unix:///var/run/docker.sock` */
  readonly title: string
  /**
   * Brings an image into the engine and gives it its names. Layers that the engine has are not sent where the engine
   * takes an image without them, and `image.open` is not called for them; of an image that it has, only names are set.
   * What the engine has is asked again after the load.
   *
   * @throws {UserError} `ERR_UNSUPPORTED` for images of several platforms where the engine keeps one for each name, and
   *   for layers compressed in a way that the engine does not know; `ERR_MANIFEST_INVALID`; `ERR_CANCELLED`
   * @throws {EnvironmentError} `ERR_ENGINE_LOAD` if the engine refuses the image, or does not have it afterwards;
   *   `ERR_ENGINE_UNREACHABLE` if it goes away; `ERR_ENGINE_RESPONSE`
   */
  load(image: ArchiveImage, options?: LoadOptions): Promise<LoadResult>
}
