/** The arguments that the global scope has without an ARG. @see spec/dockerfile.md 1.4 */
export const globalArgNames: readonly string[] = [
  ...['TARGET', 'BUILD'].flatMap((prefix) =>
    ['PLATFORM', 'OS', 'OSVERSION', 'ARCH', 'VARIANT'].map((name) => `${prefix}${name}`),
  ),
  'TARGETSTAGE',
]

/** Whether a name is one of {@link globalArgNames}. */
export function isGlobalArg(name: string): boolean {
  return globalArgNames.includes(name)
}
