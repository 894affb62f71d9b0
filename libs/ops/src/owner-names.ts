import { type Digest, digestBytes, digestKey } from '@tsbuild/digest'
import type { InputKeying } from '@tsbuild/solver'
import { filesystemOf } from './stored-layer.ts'
import type { OpResult, OpsOptions } from './types.ts'

/** Where a file system says which number an owner's name stands for. */
const files = ['/etc/passwd', '/etc/group'] as const

/** What the helper reads of either, at most. @see spec/dockerfile.md 2.4 */
const maxBytes = 10 * 2 ** 20

/*
 * The content digest of owners' names: SHA-256 of the domain `tsbuild.owners.v1`, a line feed, and the canonical JSON of
 * the two files' paths with the digest of their bytes, or with null where there is no such file.
 */

/**
 * How a file system counts of which only the names of owners are read: by the bytes of `/etc/passwd` and `/etc/group`. So
 * a layer made upon nothing goes upon a newer base as it is, while a name that may mean another number makes it again.
 */
export function ownersKeying({ native, snapshotter }: OpsOptions): InputKeying<OpResult> {
  return {
    selector: { owners: files },
    content: async (result, signal) => {
      const tree = {
        kind: 'snapshot',
        root: await snapshotter.view(filesystemOf(result), signal),
      } as const
      const bytes = await native.read(tree, files, { maxBytes, signal })
      const digests = bytes.map((file): Digest | null => (file === null ? null : digestBytes(file)))
      const preimage = Object.fromEntries(files.map((path, index) => [path, digests[index] ?? null]))
      return { digest: digestKey('tsbuild.owners.v1', preimage), preimage }
    },
  }
}
