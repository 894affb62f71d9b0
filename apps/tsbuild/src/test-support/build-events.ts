import { type Digest, digestBytes } from '@tsbuild/digest'
import type { BuildEvent } from '@tsbuild/events'

/** Steps of a build. */
export const load = digestBytes('load')
export const from = digestBytes('from')
export const run = digestBytes('run')
export const copy = digestBytes('copy')

/** A step of the plan, without inputs. */
export const planned = (vertex: Digest, name: string, at = 0): BuildEvent => ({
  type: 'vertex.planned',
  vertex,
  name,
  inputs: [],
  source: null,
  at,
})

export const started = (vertex: Digest, at: number): BuildEvent => ({ type: 'vertex.started', vertex, at })
export const completed = (vertex: Digest, at: number): BuildEvent => ({
  type: 'vertex.completed',
  vertex,
  at,
})
export const cached = (vertex: Digest, at: number): BuildEvent => ({
  type: 'vertex.cached',
  vertex,
  from: 'local',
  at,
})
/** What a step writes. */
export const log = (
  vertex: Digest,
  at: number,
  text: string,
  stream: 'stdout' | 'stderr' = 'stdout',
): BuildEvent => ({
  type: 'vertex.log',
  vertex,
  stream,
  data: Buffer.from(text),
  at,
})
/** How far a transfer of a step is. */
export const status = (
  vertex: Digest,
  at: number,
  id: string,
  bytes: number,
  total: number | null,
  done = false,
): BuildEvent => ({
  type: 'vertex.status',
  vertex,
  id,
  currentBytes: bytes,
  totalBytes: total,
  done,
  at,
})

/** A build with a cached step and a step that runs. */
export const simpleBuild: readonly BuildEvent[] = [
  { type: 'build.started', ref: 'r', name: 'app', at: 0 },
  planned(load, '[internal] load build definition from Dockerfile'),
  planned(from, '[1/2] FROM docker.io/library/debian:12'),
  planned(run, '[2/2] RUN make'),
  started(load, 0),
  status(load, 5, 'transferring dockerfile:', 120, null, true),
  completed(load, 10),
  cached(from, 20),
  { type: 'vertex.missed', vertex: run, reason: { code: 'files', text: 'a.c changed' }, at: 100 },
  started(run, 100),
  log(run, 223, 'cc a.c\ncc '),
  log(run, 1_300, 'b.c\n'),
  log(run, 1_400, 'warning\n', 'stderr'),
  completed(run, 1_600),
  { type: 'build.completed', ref: 'r', at: 1_600 },
]
