const proxyNames = new Set(['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'])

/**
 * Build arguments that mean something to the builder itself, or did so to BuildKit; docs/reference/build-args.md says what
 * each one does here.
 */
export const builderArgs = [
  'BUILDKIT_BUILD_NAME',
  'BUILDKIT_CACHE_MOUNT_NS',
  'BUILDKIT_CONTEXT_KEEP_GIT_DIR',
  'BUILDKIT_DISABLE_FILEOP',
  'BUILDKIT_DOCKERFILE_CHECK',
  'BUILDKIT_INLINE_BUILDINFO_ATTRS',
  'BUILDKIT_INLINE_CACHE',
  'BUILDKIT_MULTI_PLATFORM',
  'BUILDKIT_SANDBOX_HOSTNAME',
  'BUILDKIT_SBOM_SCAN_CONTEXT',
  'BUILDKIT_SBOM_SCAN_STAGE',
  'BUILDKIT_SYNTAX',
  'SOURCE_DATE_EPOCH',
] as const

const builderNames = new Set<string>(builderArgs)

/** Those that ask for something which is not there yet. */
const unanswered: ReadonlyMap<string, string> = new Map([
  ['BUILDKIT_BUILD_NAME', 'nothing shows the name of a build'],
  ['BUILDKIT_MULTI_PLATFORM', 'an image is built for one platform'],
])

const falseTexts = new Set(['', '0', 'f', 'F', 'false', 'False', 'FALSE'])

/** Why a build argument asks the builder in vain, as the end of a sentence; undefined where it does not, or asks for nothing. */
export function vainArgReason(name: string, value: string): string | undefined {
  return falseTexts.has(value) ? undefined : unanswered.get(name)
}

/** The arguments that the global scope has without an ARG. @see spec/dockerfile.md 1.4 */
export const globalArgNames: readonly string[] = [
  ...['TARGET', 'BUILD'].flatMap((prefix) =>
    ['PLATFORM', 'OS', 'OSVERSION', 'ARCH', 'VARIANT'].map((name) => `${prefix}${name}`),
  ),
  'TARGETSTAGE',
]

/** Whether a name is one of the proxy arguments, in capitals or in lower case. */
export function isProxyArg(name: string): boolean {
  return proxyNames.has(name) || (name === name.toLowerCase() && proxyNames.has(name.toUpperCase()))
}

/** Whether a name is one of {@link globalArgNames}. */
export function isGlobalArg(name: string): boolean {
  return globalArgNames.includes(name)
}

/**
 * Whether a build argument needs no ARG to have an effect, or to be known as one that has none.
 *
 * @see spec/dockerfile.md 1.4
 */
export function isPredefinedArg(name: string): boolean {
  return builderNames.has(name) || isProxyArg(name) || isGlobalArg(name)
}
