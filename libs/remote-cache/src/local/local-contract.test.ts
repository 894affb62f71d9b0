import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestHex } from '@tsbuild/digest'
import { onTestFinished } from 'vitest'
import { buildkitPart } from '../buildkit-part.ts'
import { createIndexExporter } from '../index-format/exporter.ts'
import { describeCache } from '../testing/contract.ts'
import { localImporter, localPlace } from './local-cache.ts'

const now = () => 1_700_000_000_000

describeCache('a directory', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lazy-local-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const target = { dest: join(folder, 'cache'), mode: 'max' } as const
  return {
    importer: async () => localImporter({ src: target.dest }),
    exporter: async (tools) =>
      createIndexExporter({ place: localPlace({ ...target, now }), target, tools, buildkitPart, now }),
    lose: async ({ digest }) => rmSync(join(target.dest, 'blobs/sha256', digestHex(digest))),
  }
})
