import type { Native, Root } from '@tsbuild/native'
import { serializeStatement } from './attestation-manifest.ts'
import type { Attestation } from './types.ts'

/** A file that a statement is about. */
export interface FileSubject {
  /** From the root of the result, without a slash in front. */
  readonly name: string
  readonly digest: { readonly sha256: string }
}

/** Digests every regular file of a result, in the order of their paths. */
export async function fileSubjects(
  native: Native,
  root: Root,
  signal: AbortSignal,
): Promise<readonly FileSubject[]> {
  const everything = { sources: ['/'], exclude: [], parents: false, uncounted: [] }
  const tree = { kind: 'snapshot', root } as const
  const { manifests } = await native.scan(tree, [everything], { manifests: true, signal })
  return [...manifests.values()].flatMap((manifest) =>
    manifest.toString('latin1').split('\n').flatMap(subjectOf),
  )
}

/** A line `f MODE OWNER SIZE SHA256 [x=…] /PATH`. @see docs/dev/cache-keys.md, "Content digests" */
function subjectOf(line: string): readonly FileSubject[] {
  const [kind, , , , sha256 = '', ...rest] = line.split(' ')
  const path = rest.at(-1)
  if (kind !== 'f' || path === undefined) return []
  return [{ name: plainPath(path).replace(/^\//, ''), digest: { sha256 } }]
}

/** Bytes that are no text become what stands for them: a statement is JSON. */
function plainPath(path: string): string {
  const bytes = path.replace(/%([0-9a-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return Buffer.from(bytes, 'latin1').toString('utf8')
}

/**
 * The bytes of the in-toto statement about files, as it stands beside them.
 *
 * @throws {UserError} `ERR_OUTPUT` for one of more than 40 MiB
 */
export function fileStatement(attestation: Attestation, subjects: readonly FileSubject[]): Uint8Array {
  return serializeStatement(attestation, subjects)
}
