import { createHmac } from 'node:crypto'
import type { ExecOp, Graph } from '@tsbuild/graph'
import type { CacheRecord, ExecuteContext } from '@tsbuild/solver'
import type { SecretMount } from './exec-secrets.ts'
import type { OpsOptions } from './types.ts'

/** `hmac-sha256:` and 64 hex digits, by the id of a secret; those that were not given are not in it. */
export type SecretDigests = ReadonlyMap<string, string>

/**
 * Digests the secrets that the steps of a graph mount, each read once. The digests are keyed with the store's own key: a
 * plain one of a short secret could be guessed by whoever reads a record.
 *
 * @param secretKey asked for only where a secret was given
 * @throws what reading a secret does, for one whose content counts; of another one nothing is known then
 */
export async function digestSecrets(
  graph: Pick<Graph, 'vertices'>,
  { secrets }: Pick<OpsOptions, 'secrets'>,
  secretKey: () => Promise<Uint8Array>,
): Promise<SecretDigests> {
  const mounts = graph.vertices.flatMap(({ op }) => (op.kind === 'exec' ? secretsOf(op) : []))
  const counted = new Set(mounts.flatMap(({ id, countsContent }) => (countsContent === true ? [id] : [])))
  const digests = new Map<string, string>()
  for (const id of new Set(mounts.map((mount) => mount.id))) {
    const value = await secrets(id).catch((error: unknown) => {
      if (counted.has(id)) throw error
      return undefined
    })
    if (value === undefined) continue
    const hmac = createHmac('sha256', await secretKey())
      .update('tsbuild.secret.v1\n')
      .update(value)
    digests.set(id, `hmac-sha256:${hmac.digest('hex')}`)
  }
  return digests
}

/** The digests of the secrets that a step mounts, for its record; undefined for a step without any. */
export function secretsAbout(op: ExecOp, digests: () => SecretDigests): Record<string, string> | undefined {
  const mounts = secretsOf(op)
  if (mounts.length === 0) return undefined
  const known = mounts.flatMap(({ id }) => {
    const digest = digests().get(id)
    return digest === undefined ? [] : [[id, digest] as const]
  })
  return Object.fromEntries(known)
}

/**
 * Warns where a step is taken from the cache although a secret of it has another value than when it ran. Of a secret whose
 * content counts that cannot be; one that was not given, then or now, is no other value.
 *
 * @see spec/cache.md 8, row 4
 */
export function warnOfChangedSecrets(
  op: ExecOp,
  record: CacheRecord,
  { vertex, events }: ExecuteContext,
  { secretDigests, now }: Pick<OpsOptions, 'secretDigests' | 'now'>,
): void {
  const ids = new Set(secretsOf(op).map(({ id }) => id))
  for (const id of ids) {
    const then = recordedDigest(record, id)
    const digest = secretDigests.get(id)
    if (then === undefined || digest === undefined || then === digest) continue
    const message =
      `The step is cached although secret "${id}" has another value than when it ran. ` +
      `With \`--mount=type=secret,id=${id},cache=content\` it would run again.`
    events({ type: 'warning', rule: 'SecretChanged', message, source: vertex.source, at: now() })
  }
}

function recordedDigest({ about }: CacheRecord, id: string): string | undefined {
  if (typeof about !== 'object' || about === null || !('secrets' in about)) return undefined
  const { secrets } = about
  if (typeof secrets !== 'object' || secrets === null || !Object.hasOwn(secrets, id)) return undefined
  const digest: unknown = Reflect.get(secrets, id)
  return typeof digest === 'string' ? digest : undefined
}

function secretsOf({ mounts }: ExecOp): readonly SecretMount[] {
  return mounts.filter((mount) => mount.kind === 'secret')
}
