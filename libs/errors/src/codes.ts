import type { ErrorKind } from './build-error.ts'

/** One row of the table of error codes. */
export interface ErrorCodeRow {
  readonly kind: ErrorKind
  /** Whether the same call may succeed when it is made again. */
  readonly retryable: boolean
  /** What it means, for docs/reference/errors.md. */
  readonly meaning: string
}

const user = (meaning: string): ErrorCodeRow => ({ kind: 'user', retryable: false, meaning })
const environment = (meaning: string): ErrorCodeRow => ({ kind: 'environment', retryable: false, meaning })
const transient = (meaning: string): ErrorCodeRow => ({ kind: 'environment', retryable: true, meaning })

/** Every stable error code. docs/reference/errors.md is generated from this table. */
export const errorCodes = {
  ERR_CANCELLED: user('The build was cancelled.'),
  ERR_USAGE: user('The command line is wrong.'),
  ERR_CONFIG: user('A configuration file is wrong.'),
  ERR_UNSUPPORTED: user(
    'The Dockerfile or a flag asks for something that tsbuild, or the registry that is asked, does not do.',
  ),

  ERR_DOCKERFILE_NOT_FOUND: user('There is no Dockerfile where it is looked for.'),
  ERR_DOCKERFILE_SYNTAX: user('The Dockerfile cannot be parsed.'),
  ERR_DOCKERFILE_EMPTY: user('The Dockerfile has no instructions.'),
  ERR_DOCKERFILE_UNKNOWN_INSTRUCTION: user('A line begins with a word that is no instruction.'),
  ERR_DOCKERFILE_UNKNOWN_FLAG: user('An instruction has a flag that it does not take.'),
  ERR_DOCKERFILE_EXPANSION: user('A variable expansion is malformed or its `?` condition failed.'),
  ERR_DOCKERFILE_MOUNT_OPTION: user('A `RUN --mount` option is wrong.'),
  ERR_DOCKERFILE_STAGE_NOT_FOUND: user('The target or a `--from` names no stage.'),
  ERR_DOCKERFILE_CYCLE: user('Stages depend on one another in a circle.'),

  ERR_SOURCE_DATE: user('SOURCE_DATE_EPOCH is neither a time nor a source that has one.'),

  ERR_CONTEXT_NOT_FOUND: user('The build context is not there or is no directory.'),
  ERR_CONTEXT_UNREADABLE: user('A file of the build context cannot be read.'),
  ERR_CONTEXT_CHANGED: user('A file of the build context changed while it was read.'),
  ERR_IGNORE_SYNTAX: user('An ignore file has a malformed pattern.'),
  ERR_COPY_SOURCE_NOT_FOUND: user('A COPY or ADD source does not exist, or is hidden by .dockerignore.'),
  ERR_COPY_NOT_DIRECTORY: user('A COPY would put a directory where the image has a file.'),
  ERR_COPY_OVER_DIRECTORY: user('A COPY would put a file where the image has a directory.'),
  ERR_PATTERN_INVALID: user('A wildcard, an exclude pattern or an ignore pattern is malformed.'),
  ERR_SYMLINK_LOOP: user('A path leads through more symlinks than the kernel follows.'),
  ERR_DEVICE_FORBIDDEN: user('A device node would have to be made, which only root can do.'),
  ERR_PATH_INVALID: user('A path is malformed or leaves its root.'),
  ERR_USER_NOT_FOUND: user('A user or group name is not in the image.'),
  ERR_USER_INVALID: user('A user or group is malformed or out of range.'),
  ERR_MODE_INVALID: user('A --chmod value is malformed.'),
  ERR_STEP_INVALID: user('An argument or variable of a step cannot be given to a process.'),
  ERR_WORKDIR_INVALID: user('The working directory of a step is no directory of the image.'),
  ERR_MOUNT_SOURCE_INVALID: user('The source of a mount is missing, or is not what can be mounted.'),
  ERR_MOUNT_TARGET_RESERVED: user('A mount would cover something that belongs to the sandbox.'),
  ERR_STEP_OOM: user('A step was ended because it used up its memory limit.'),
  ERR_STEP_PIDS: user('A step was ended because it could make no more processes.'),
  ERR_STEP_PLATFORM: environment('A step runs a program that this machine has no interpreter for.'),
  ERR_TIMEOUT: user('A build or a step took longer than it may.'),
  ERR_ENTITLEMENT: user('A step asks for something that needs `--allow`.'),
  ERR_SSH: user('An ssh agent or key is not given, or cannot be used.'),
  ERR_FAILURE_NOT_FOUND: user('There is no failed step to open a shell in.'),
  ERR_BUILD_NOT_FOUND: user('The history has no such build, or several.'),
  ERR_BUILD_IN_USE: user('A build of the history cannot be removed now.'),
  ERR_STEP_NOT_FOUND: user('A build has no such step, or several.'),
  ERR_STEP_FAILED: user('A RUN step ended with a non-zero exit code.'),
  ERR_ROOTFS_INVALID: user('The image has something unusable where a mount point belongs.'),

  ERR_LINT: user('A rule found something, and `# check=error=true` is set.'),
  ERR_URL_INVALID: user('The URL of a context or of an ADD source is malformed.'),
  ERR_HTTP_STATUS: user('A server answers the request for a context or an ADD source with an error status.'),
  ERR_HTTP_UNREACHABLE: transient(
    'The server of a context or of an ADD source does not answer or is not trusted.',
  ),
  ERR_HTTP_RESPONSE: environment(
    'The answer to the request for a context or an ADD source is too large, makes no sense or leads astray.',
  ),
  ERR_GIT_REF_NOT_FOUND: user('A git repository has no such branch, tag or commit.'),
  ERR_GIT_CONTENT: user(
    'A git repository lacks the wanted directory, is larger than the limits allow, or has a submodule that is refused.',
  ),
  ERR_GIT_FAILED: transient('A git repository cannot be fetched.'),
  ERR_ADD_ARCHIVE: user(
    'An archive of ADD, or one given as the context, is malformed or unpacks to too much.',
  ),
  ERR_SECRET: user('A secret is not given, or cannot be read.'),

  ERR_REFERENCE_INVALID: user('An image reference is malformed.'),
  ERR_PLATFORM_INVALID: user('A platform is malformed, or not one that images can be built for.'),
  ERR_IMAGE_NOT_FOUND: user('An image is neither in the local store nor in its registry.'),
  ERR_DIGEST_INVALID: user('A digest is malformed or of an unknown algorithm.'),
  ERR_DIGEST_MISMATCH: user('Bytes do not have the digest that names them.'),
  ERR_SIZE_MISMATCH: user('A blob is longer or shorter than its descriptor says.'),
  ERR_DIFFID_MISMATCH: user('A layer unpacks to other bytes than the image config says.'),
  ERR_MANIFEST_INVALID: user('A manifest, index or image config is malformed.'),
  ERR_ARCHIVE_INVALID: user('An image archive or layout is malformed.'),
  ERR_LAYER_INVALID: user('A layer is no archive of a known form.'),
  ERR_LAYER_TRUNCATED: user('A layer ends too early.'),
  ERR_LAYER_ESCAPE: user('A layer names a path outside of its root.'),
  ERR_LAYER_WHITEOUT: user('A layer has a malformed whiteout.'),
  ERR_LAYER_RESERVED: user('A layer carries marks reserved for overlayfs.'),
  ERR_LAYER_DEVICE_ROOTLESS: user('A layer has a device node, which only root can make.'),
  ERR_LAYER_BOMB: user('A layer unpacks to more than the limits allow.'),
  ERR_LAYER_UNREPRESENTABLE: user('A file of a snapshot cannot be written to a layer.'),

  ERR_REGISTRY_UNREACHABLE: transient('A registry does not answer.'),
  ERR_REGISTRY_RESPONSE: environment('A registry answers something that is not the distribution protocol.'),
  ERR_REGISTRY_STATUS: transient('A registry answers with an error status.'),
  ERR_REGISTRY_AUTH: environment('A registry refuses the credentials, or none are known.'),
  ERR_REGISTRY_TLS: environment('The TLS connection to a registry fails.'),
  ERR_ENGINE_UNREACHABLE: transient('Docker or podman does not answer, or may not be used.'),
  ERR_ENGINE_RESPONSE: environment('What answers is no Docker or podman, or its answer makes no sense.'),
  ERR_ENGINE_LOAD: environment('Docker or podman does not take an image.'),
  ERR_ENGINE_CONTEXT: user('A docker context is not there, or names no engine.'),
  ERR_SIGNATURE_KEY: user('A key of signatures cannot be read or used, or its password does not fit.'),
  ERR_SIGNATURE_MISSING: user('An image has no signature or attestation of the wanted kind.'),
  ERR_SIGNATURE_INVALID: user(
    'What is said to be the signature of an image was not made with the key, or was changed.',
  ),
  ERR_SIGNATURE_SUBJECT: user('A signature that was made with the key is for another image.'),
  ERR_SIGNATURE_CLAIMS: user('A signature that was made with the key does not state what is wanted.'),
  ERR_SIGNATURE_MOVED: user('A tag meant another image after its signature was verified.'),
  ERR_CACHE_INVALID: user('What is under the name of a cache is no cache, or a malformed one.'),
  ERR_CACHE_TAG: user('A cache would be written over an image, or over something else that is no cache.'),
  ERR_CACHE_BUSY: transient('Other builds write the same cache again and again.'),
  ERR_LISTEN: environment('An address cannot be listened on.'),
  ERR_CACHE_SERVER: transient(
    'A cache-server does not answer, refuses, or answers something that makes no sense.',
  ),
  ERR_CACHE_SERVER_URL: user(
    'What should be the URL of a cache-server is none, or a token would go to it in clear.',
  ),
  ERR_CACHE_SERVER_KEY: environment('A cache-server signs with another key than at the first contact.'),
  ERR_CACHE_SCOPE: user('What should name a scope of a shared cache does not.'),
  ERR_CACHE_KEY: user('The key of a cache-server cannot be read or used.'),
  ERR_CACHE_ISSUER: transient(
    'The keys of a CI service, by which its tokens are verified, are not to be had.',
  ),
  ERR_CACHE_KEYS_FILE: user('A file that says which keys to trust for which scopes is wrong.'),
  ERR_OUTPUT: environment('An output file or directory cannot be written.'),

  ERR_CACHE: environment('A cache elsewhere cannot be used, and the build says that it has to.'),
  ERR_CACHE_LAYER: environment(
    'A layer that a cache elsewhere promised cannot be had; the step runs instead.',
  ),

  ERR_STORE_OPEN: environment('The store cannot be opened.'),
  ERR_STORE_FORMAT: environment('The store was written by a newer version.'),
  ERR_STORE_CORRUPT: environment('A file of the store is damaged.'),
  ERR_STORE_NO_SPACE: environment('The disk is full.'),
  ERR_STORE_IO: environment('A system call on a file of the store failed.'),
  ERR_STORAGE_UNAVAILABLE: transient(
    'Where a cache-server keeps its objects cannot be reached now, or too many files are open to reach the store.',
  ),
  ERR_OBJECT_KEY: user('The name of an object is malformed.'),
  ERR_OBJECT_TOO_LARGE: user('A value is larger than what can be replaced in one step.'),
  ERR_RANGE: user('A range of bytes begins behind the end of what it is of.'),
  ERR_PERMISSION: environment('The operating system refuses access.'),
  ERR_NAMESPACE_DENIED: environment('The kernel or its policy refuses the namespaces a step needs.'),
  ERR_ROOTLESS_IDMAP: environment('A user namespace cannot be given the ids it needs.'),
  ERR_PORT: user('A port cannot be published: it is taken, or not one that this user or machine has.'),
  ERR_NETWORK: environment('A private network for steps cannot be made.'),
  ERR_SESSION_LOST: environment(
    'What the steps of a build share was ended from outside while they ran, or its network was not ready in time.',
  ),
  ERR_CGROUP: environment('A limit of steps cannot be enforced on this machine.'),
  ERR_OVERLAY_MOUNT: environment('The kernel refuses an overlayfs mount.'),
  ERR_HELPER_MISSING: environment('The native helper cannot be found or started.'),
  ERR_HELPER_KILLED: environment(
    'The native helper was killed from outside, for example because memory ran out.',
  ),
  ERR_HELPER_SYSCALL: environment('A system call of the native helper failed.'),
  ERR_TOOL_MISSING: environment('A program that this command needs is not installed.'),
  ERR_BOOTSTRAP: environment('A base image could not be made from the distribution.'),

  ERR_HELPER_PROTOCOL: {
    kind: 'internal',
    retryable: false,
    meaning: 'The native helper broke its protocol.',
  },
  ERR_HELPER_INTERNAL: { kind: 'internal', retryable: false, meaning: 'A bug of the native helper.' },
  ERR_INTERNAL: { kind: 'internal', retryable: false, meaning: 'A bug of tsbuild.' },
} as const satisfies Record<`ERR_${string}`, ErrorCodeRow>

/** A code of {@link errorCodes}. */
export type ErrorCode = keyof typeof errorCodes

/** Whether a text is a known code: the border for codes that come from another process. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text)
}
