import type { Native } from '@tsbuild/native'
import { emptyFilesystem } from '@tsbuild/snapshot'
import { describe, expect, it } from 'vitest'
import { fileOp } from './file-op.ts'
import { untouchable } from './testing/untouchable.ts'
import type { OpsOptions } from './types.ts'

const { signal } = new AbortController()

/** The keying of the input with the owners' names, over files in memory. */
function keyingOf(files: Readonly<Record<string, string>>) {
  const asked: (readonly string[])[] = []
  const read: Native['read'] = async (_tree, paths, { maxBytes }) => {
    asked.push(paths)
    expect(maxBytes).toBe(10 * 2 ** 20)
    return paths.map((path) => {
      const text = files[path]
      return text === undefined ? null : Buffer.from(text)
    })
  }
  const given = {
    native: { read },
    snapshotter: { view: async () => ({ lower: ['/l'], upper: null, work: null }) },
  } as unknown as Pick<OpsOptions, 'native' | 'snapshotter'>
  const options = new Proxy(untouchable(), {
    get: (target, name) => Reflect.get(Object.hasOwn(given, name) ? given : target, name),
  })
  const mkdir = { kind: 'mkdir', path: '/d', mode: 0o755, owner: 'web', mtime: undefined } as const
  const step = fileOp({ kind: 'file', rootfs: undefined, owners: 0, actions: [mkdir] }, 1, options)
  return { keying: step.inputs[0], step, asked }
}

const digestOf = async (files: Readonly<Record<string, string>>) => {
  const { content } = keyingOf(files).keying ?? {}
  return (await content?.({ kind: 'filesystem', filesystem: emptyFilesystem }, signal))?.digest
}

describe('ownersKeying()', () => {
  it('ownersKeying() counts /etc/passwd and /etc/group, and nothing else', async () => {
    const { keying, step, asked } = keyingOf({})
    await keying?.content?.({ kind: 'filesystem', filesystem: emptyFilesystem }, signal)
    expect(asked).toEqual([['/etc/passwd', '/etc/group']])
    expect(keying?.selector).toEqual({ owners: ['/etc/passwd', '/etc/group'] })
    expect(step.bases).toEqual([])
  })

  it('ownersKeying() tells a changed, a missing and an empty file apart', async () => {
    const digests = await Promise.all(
      [
        {},
        { '/etc/passwd': '' },
        { '/etc/group': '' },
        { '/etc/passwd': 'a', '/etc/group': 'b' },
        { '/etc/passwd': 'b', '/etc/group': 'a' },
        { '/etc/passwd': 'a', '/etc/group': 'c' },
      ].map(digestOf),
    )
    expect(new Set(digests).size).toBe(6)
    expect(await digestOf({ '/etc/passwd': 'a', '/etc/group': 'b', '/etc/other': 'x' })).toBe(digests[3])
  })

  it('ownersKeying() has the pinned digest', async () => {
    expect(await digestOf({ '/etc/passwd': 'root:x:0:0::/:\n' })).toMatchInlineSnapshot(
      `"sha256:8044c4a91215239b581c14f81f30ce1d8572f655284e854250a3428a206dda50"`,
    )
  })
})
