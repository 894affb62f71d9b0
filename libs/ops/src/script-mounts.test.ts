import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Mount } from '@tsbuild/native'
import { expect, it, onTestFinished } from 'vitest'
import { mountScripts } from './script-mounts.ts'
import { untouchable } from './testing/untouchable.ts'

it('mountScripts() writes each script 0755 and says where it belongs', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tsbuild-scripts-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const scripts = [
    { path: '/dev/pipes/A', content: '#!/bin/sh\n' },
    { path: '/dev/pipes/B', content: 'ü' },
  ]
  const scratch = async () => directory
  const sources = (mounts: readonly Mount[]) => mounts.map((mount) => ('source' in mount ? mount.source : ''))
  const binds = await mountScripts(scripts, { scratch })
  expect(binds.map(({ target }) => target)).toEqual(['/dev/pipes/A', '/dev/pipes/B'])
  expect(sources(binds).map((source) => readFileSync(source, 'utf8'))).toEqual(['#!/bin/sh\n', 'ü'])
  expect(sources(binds).map((source) => statSync(source).mode & 0o7777)).toEqual([0o755, 0o755])
  const again = await mountScripts(scripts, { scratch })
  expect(sources(again)[0]).not.toBe(sources(binds)[0])
})

it('mountScripts() makes nothing for a step without scripts', async () => {
  expect(await mountScripts([], untouchable())).toEqual([])
})
