import { chmod, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ScriptFile } from '@tsbuild/graph'
import type { Mount } from '@tsbuild/native'
import type { OpsOptions } from './types.ts'

/**
 * Writes the scripts of a step where the process can be shown them: 0755, root's, read only. They stay in the session's
 * directory for as long as it lives.
 *
 * @see spec/dockerfile.md 1.5
 */
export async function mountScripts(
  scripts: readonly ScriptFile[],
  options: Pick<OpsOptions, 'scratch'>,
): Promise<readonly Mount[]> {
  if (scripts.length === 0) return []
  const directory = await mkdtemp(join(await options.scratch(), 'scripts-'))
  return await Promise.all(
    scripts.map(async ({ path: target, content }, index) => {
      const source = join(directory, String(index))
      await writeFile(source, content)
      // The mode of writeFile() would be cut by the umask of this process.
      await chmod(source, 0o755)
      return { kind: 'bind', source, inside: '', target, readonly: true } as const
    }),
  )
}
