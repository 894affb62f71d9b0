const proxyNames = new Set(['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'])

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
 * Whether a build argument needs no ARG to have an effect.
 *
 * @see spec/dockerfile.md 1.4
 */
export function isPredefinedArg(name: string): boolean {
  if (name.startsWith('BUILDKIT_') || name === 'SOURCE_DATE_EPOCH') return true
  return isProxyArg(name) || isGlobalArg(name)
}
