import { lstatSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory, temporaryStore } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { createGitSources } from '../index.ts'
import { type GitServer, serveRepositories } from '../testing/git-server.ts'
import { createRepository, type TestRepository } from '../testing/repository.ts'

const { signal } = new AbortController()
let root: string
let repository: TestRepository
let server: GitServer
beforeEach(async () => {
  root = temporaryDirectory('git-')
  repository = createRepository(root, 'r')
  server = await serveRepositories(root)
})

describe('git()', () => {
  it('checks out', async () => {
    const first = repository.commit({ a: 'one', 'd/x': { executable: '#!/bin/sh\n' }, l: { symlink: 'a' } })
    const store = await temporaryStore()
    const sources = createGitSources({
      store,
      secrets: async () => undefined,
      now: () => 1_700_000_000_000,
      env: { PATH: process.env.PATH },
    })
    const source = {
      remote: `${server.origin}/r.git`,
      ref: '',
      subdir: '',
      keepGitDir: false,
      submodules: true,
      checksum: undefined,
      mtime: 'checkout' as const,
    }
    const tree = await sources.git(source, { signal })
    expect(tree.pinned).toBe(first)
    console.log(tree, server.requests)
  })
})
