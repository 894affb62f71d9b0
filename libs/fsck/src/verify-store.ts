import { Layout } from '@tsbuild/store'
import { checkBlobs } from './check-blobs.ts'
import { checkBuilds } from './check-builds.ts'
import { checkCacheMounts, checkFailures, checkFileLists } from './check-files.ts'
import { checkImages } from './check-images.ts'
import { checkCacheFiles, checkIndex } from './check-index.ts'
import { checkLayout } from './check-layout.ts'
import { checkRecords } from './check-records.ts'
import { checkSnapshots } from './check-snapshots.ts'
import { checkSources } from './check-sources.ts'
import type { Check, Found } from './found.ts'
import { checkSessions } from './leftovers.ts'
import type { Scan } from './scan.ts'
import type { Finding, Outcome, VerifyOptions, VerifyReport } from './types.ts'

/** In an order in which each knows what it needs of those before. */
const checks: readonly ((scan: Scan) => Check)[] = [
  checkSessions,
  checkBlobs,
  checkSnapshots,
  checkRecords,
  checkImages,
  checkFileLists,
  checkSources,
  checkCacheMounts,
  checkFailures,
  checkBuilds,
  checkIndex,
  checkCacheFiles,
]

/**
 * Reads everything in a store and says what is damaged; with `repair`, mends it: what is damaged is taken out, so that it is
 * fetched or made again when it is asked for. What is whole is never removed. Safe beside builds: what they have under way is
 * no finding, and what they use stays. Without `repair` nothing is written.
 *
 * @throws {EnvironmentError} `ERR_STORE_OPEN`, `ERR_STORE_FORMAT`; with `repair` also `ERR_PERMISSION`, `ERR_STORE_IO`,
 *   `ERR_STORE_NO_SPACE`
 * @throws the reason of the signal
 */
export async function verifyStore(options: VerifyOptions): Promise<VerifyReport> {
  const layout = new Layout(options.root)
  const scan: Scan = {
    layout,
    native: options.native,
    now: options.now,
    signal: options.signal,
    blobs: new Map(),
    damagedBlobs: new Set(),
    snapshots: new Map(),
    layers: new Map(),
    checked: {
      blobs: 0,
      blobBytes: 0,
      snapshots: 0,
      withoutDigest: 0,
      records: 0,
      foreignRecords: 0,
      images: 0,
    },
  }
  const findings: Finding[] = []
  const take = async <M>(check: Check<M>, run: ((mend: M) => Promise<Outcome> | Outcome) | undefined) => {
    for await (const found of check) {
      const finding = await settle(found, run)
      findings.push(finding)
      options.onFinding?.(finding)
    }
  }
  await take(checkLayout(layout, options.uid), options.repair ? (mend) => mend() : undefined)
  const store = options.repair ? await options.open() : undefined
  try {
    for (const check of checks) await take(check(scan), store && ((mend) => mend(store)))
  } finally {
    await store?.close()
  }
  const sound = findings.every(({ severity, outcome }) => severity === 'notice' || outcome === 'repaired')
  return { sound, findings, checked: scan.checked }
}

async function settle<M>(
  { mend, ...finding }: Found<M>,
  run: ((mend: M) => Promise<Outcome> | Outcome) | undefined,
): Promise<Finding> {
  if (run === undefined || mend === undefined) return finding
  return { ...finding, outcome: await run(mend) }
}
