import { findHelper } from '../find-helper.ts'
import { createNative, type Native } from '../native.ts'

/** What is used of vitest's TestContext. */
interface Skippable {
  skip(condition: boolean, note?: string): void
}

/**
 * The real helper as root, for tests that need mounts or ids. Skips the running test, which the reporter counts, where
 * this process is not root or the helper is not built; where `CI` is set that is a failure.
 */
export function realHelper(test: Skippable): Native & { readonly helperPath: string } {
  const helperPath = builtHelper()
  const lack =
    helperPath === undefined
      ? 'the helper is not built'
      : process.getuid?.() === 0
        ? undefined
        : 'only root may mount'
  if (lack !== undefined && process.env.CI !== undefined) throw new Error(`Cannot run this test: ${lack}`)
  test.skip(lack !== undefined, lack)
  const path = helperPath ?? ''
  return { ...createNative({ helperPath: path, idMap: undefined }), helperPath: path }
}

function builtHelper(): string | undefined {
  try {
    return findHelper()
  } catch {
    return undefined
  }
}
