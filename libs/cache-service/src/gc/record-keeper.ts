import { maxRecordBytes } from '@tsbuild/cache-protocol'
import { type Digest, digestFromHex, isDigest } from '@tsbuild/digest'
import type { ObjectInfo, ObjectKey, ObjectStore } from '@tsbuild/object-store'
import { repositoryOfScope, type Scope } from '@tsbuild/trust'
import { eachLimited } from '../each-limited.ts'
import { type RecordName, readStoredRecord, recordPrefix, scopeFolder } from '../layout.ts'
import { readObject } from '../read-object.ts'
import { entryBlobs, type RecordIndex } from '../record-index.ts'
import type { RecordLog } from '../record-log.ts'
import { forgetUses, readUses } from '../uses.ts'
import type { Holder, Keeper, Retention } from './types.ts'

/** What only the whole server knows of records. */
export interface RecordRules {
  /** The object without which a blob cannot be read through a repository. */
  readonly linkKey: (repository: string, digest: Digest) => ObjectKey
  readonly retentionOf: (scope: Scope) => Retention
  /** Unix ms. */
  readonly now: () => number
}

/** Where records are. */
export interface RecordKeeperParts {
  readonly store: ObjectStore
  readonly index: RecordIndex
  readonly log: RecordLog
}

/** Notes of uses that are older say nothing that a record's own time does not say. */
const keepUsesMs = 90 * 24 * 3_600_000
const atATime = 32

/** What a collector is told of records: each holds the blobs of its layers, in the repository of its scope. */
export function recordKeeper(parts: RecordKeeperParts, rules: RecordRules): Keeper {
  return {
    name: 'records',
    holders: (signal) => holdersOf(parts, rules, signal),
    evict: async (holders, notAfterMs, signal) => {
      const gone = await eachLimited(holders, atATime, async ({ key, version }) =>
        (await parts.store.delete(key, { version, notAfterMs }, { signal })) ? [key] : [],
      )
      const keys = gone.flat()
      const scopes = scopesByFolder(parts.index)
      const changes = keys.flatMap((key) => {
        const name = nameOf(key, scopes)
        return name === undefined ? [] : [{ kind: 'removed' as const, name }]
      })
      if (changes.length > 0) await parts.log.append(changes)
      return keys
    },
    sweeps: [],
  }
}

async function* holdersOf(
  { store, index, log }: RecordKeeperParts,
  rules: RecordRules,
  signal: AbortSignal,
): AsyncGenerator<Holder> {
  await log.refresh()
  const uses = await readUses(store)
  const scopes = scopesByFolder(index)
  let batch: ObjectInfo[] = []
  const flush = async () => {
    const infos = batch
    batch = []
    const read = await eachLimited(infos, atATime, async (info) => {
      const found = await blobsOf(info.key, store, index, scopes)
      return found === undefined ? [] : [holderOf(info, found, uses.get(info.key) ?? 0, rules)]
    })
    return read.flat()
  }
  for await (const info of store.list(recordPrefix, { signal })) {
    batch.push(info)
    if (batch.length === 256) yield* await flush()
  }
  yield* await flush()
  await forgetUses(store, rules.now() - keepUsesMs)
}

function holderOf(
  { key, version, modifiedMs }: ObjectInfo,
  { scope, blobs }: { readonly scope: Scope; readonly blobs: readonly Digest[] },
  usedMs: number,
  { linkKey, retentionOf }: RecordRules,
): Holder {
  const repository = repositoryOfScope(scope)
  const holds = blobs.map((digest) => linkKey(repository, digest))
  const retention = retentionOf(scope)
  return { key, version, modifiedMs, usedMs: Math.max(usedMs, modifiedMs), holds, retention }
}

/** From the index where it is there. @returns undefined for what is no record that can be used: it holds nothing */
async function blobsOf(
  object: ObjectKey,
  store: ObjectStore,
  index: RecordIndex,
  scopes: ReadonlyMap<string, Scope>,
): Promise<{ readonly scope: Scope; readonly blobs: readonly Digest[] } | undefined> {
  const name = nameOf(object, scopes)
  const entry = name && index.get(name.scope, name.key)
  if (name !== undefined && entry !== undefined) return { scope: name.scope, blobs: entryBlobs(entry) }
  const bytes = await readObject(store, object, maxRecordBytes)
  const stored = bytes && readStoredRecord(object, bytes)
  return stored && { scope: stored.payload.scope, blobs: stored.blobs }
}

function scopesByFolder(index: RecordIndex): ReadonlyMap<string, Scope> {
  return new Map([...index.scopes().keys()].map((scope) => [scopeFolder(scope), scope]))
}

/** Which record an object is; undefined where the index has nothing of its scope. */
function nameOf(object: ObjectKey, scopes: ReadonlyMap<string, Scope>): RecordName | undefined {
  const [folder = '', , hex = ''] = object.slice(recordPrefix.length).split('/')
  const scope = scopes.get(folder)
  return scope === undefined || !isDigest(`sha256:${hex}`) ? undefined : { scope, key: digestFromHex(hex) }
}
