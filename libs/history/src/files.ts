import { join } from 'node:path'
import { type Digest, digestHex } from '@tsbuild/digest'

/*
 * The directory of a build, v1/builds/<ref>:
 *
 *   build.json           the record of a build that came to its end: {"format":1, …BuildRecord}
 *   journal              of one that did not: a line {"format":1, …BuildFacts}, then one line for each event but logs
 *   logs/<hex>           what a step wrote, byte for byte; the name is the step's digest
 *   logs/<hex>.index     which bytes of it came when, and of which stream: see log-index.ts
 *   explain/<hex>.json   {"format":1,"explanation":…}: the comparison behind the miss of a step
 */

/** Where everything in the directory of a build is. @see docs/adr/0020-history.md */
export function historyFiles(directory: string) {
  const logs = join(directory, 'logs')
  const explanations = join(directory, 'explain')
  return {
    record: join(directory, 'build.json'),
    journal: join(directory, 'journal'),
    logs,
    log: (vertex: Digest) => join(logs, digestHex(vertex)),
    logIndex: (vertex: Digest) => join(logs, `${digestHex(vertex)}.index`),
    explanations,
    explanation: (vertex: Digest) => join(explanations, `${digestHex(vertex)}.json`),
  }
}

/** See {@link historyFiles}. */
export type HistoryFiles = ReturnType<typeof historyFiles>
