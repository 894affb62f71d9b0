import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import type { Authority } from './https-site.ts'
import type { Workspace } from './workspace.ts'

/** One program that fetches something from a server of an authority of the test's own. */
export interface Trial {
  readonly workspace: Workspace
  /** The authority's file. */
  readonly authority: string
  readonly flags: readonly string[]
  readonly tool: string
  /** A shell command; it runs in the image `tools:test`. */
  readonly command: string
}

/** Shows that a step fails for want of trust, and that it works with `--trust-ca`. */
export async function provesTrust({ workspace, authority, flags, tool, command }: Trial): Promise<void> {
  const context = workspace.context(`tool-${tool}`, { Dockerfile: `FROM tools:test\nRUN ${command}\n` })
  const refused = await workspace.tsbuild.run([...flags, context])
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('ERR_STEP_FAILED')])
  expect(refused.stderr).toMatch(/certificate|PKIX/)
  await workspace.tsbuild.check([...flags, '--trust-ca', authority, context])
}

/**
 * The files below some folders that hold something of an authority's certificate: a line of its PEM form, or its name,
 * which stands in the DER form. What is compressed is not looked into.
 */
export function findTraces(authority: Authority, ...folders: readonly string[]): readonly string[] {
  const lines = readFileSync(authority.file, 'utf8').split('\n')
  const patterns = [authority.name, ...lines.filter((line) => /^[\w+/=]{16,}$/.test(line))]
  const grep = spawnSync('grep', ['-rlaF', '--', patterns.join('\n'), ...folders], { encoding: 'utf8' })
  // 1 means that nothing was found; anything above that not everything could be read.
  if (grep.status === null || grep.status > 1) throw new Error(`grep: ${grep.stderr}`)
  return grep.stdout.split('\n').filter((path) => path !== '')
}
