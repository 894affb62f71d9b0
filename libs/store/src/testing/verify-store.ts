import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { digestBytes, parseDigest } from '@tsbuild/digest'
import { expect } from 'vitest'
import { isSnapshotId } from '../layout.ts'
import { unseal } from '../seal.ts'
import type { Store } from '../types.ts'
import { failureData, failureText, recordText, sourceData, sourceText } from './writer-protocol.ts'

/**
 * The invariants of a store that nobody uses at the moment, whatever happened to those who did: every blob has the bytes
 * of its name, every record is whole and names a committed snapshot with its data, and nothing half done is left.
 */
export function verifyStore(store: Store): void {
  const v1 = join(store.root, 'v1')
  expect(readdirSync(join(v1, 'ingest')), 'temporary files').toEqual([])
  verifyBlobs(store, join(v1, 'blobs', 'sha256'))
  const committed = verifySnapshots(store, join(v1, 'snapshots'))
  verifyRecords(join(v1, 'records'), committed)
  verifySources(join(v1, 'sources'))
  verifyFailures(join(v1, 'failures'))
  verifyIndex(join(v1, 'index.json'))
}

function verifyBlobs(store: Store, directory: string): void {
  for (const hex of readdirSync(directory)) {
    const digest = parseDigest(`sha256:${hex}`)
    expect(digestBytes(readFileSync(store.blobs.path(digest)))).toBe(digest)
    expect(lstatSync(store.blobs.path(digest)).mode & 0o777).toBe(0o444)
  }
}

function verifySnapshots(store: Store, directory: string): ReadonlySet<string> {
  const names = readdirSync(directory)
  for (const name of names) {
    expect(isSnapshotId(name) && store.snapshots.has(name), `snapshot ${name} is committed`).toBe(true)
    JSON.parse(whole(join(directory, name, 'snapshot.json'), name))
    expect(readFileSync(join(directory, name, 'fs', 'data'), 'utf8')).toBe(`data of ${name}`)
  }
  return new Set(names)
}

function verifyRecords(directory: string, committed: ReadonlySet<string>): void {
  for (const shard of readdirSync(directory)) {
    for (const name of readdirSync(join(directory, shard))) {
      const text = whole(join(directory, shard, name))
      const { snapshot } = JSON.parse(text)
      expect(text).toBe(recordText(snapshot))
      expect(committed.has(snapshot), `record ${name} names a committed snapshot`).toBe(true)
    }
  }
}

/** Every tree is committed, and every name is whole and points to one. A tree may have lost its name to a newer one. */
function verifySources(directory: string): void {
  const trees = readdirSync(join(directory, 'trees'))
  for (const id of trees) {
    const marker = whole(join(directory, 'trees', id, 'source.json'), id)
    expect(JSON.parse(marker), `source ${id} is committed`).toHaveProperty('createdMs')
  }
  for (const name of readdirSync(join(directory, 'names'))) {
    const { tree, text } = JSON.parse(whole(join(directory, 'names', name)))
    const source: string = JSON.parse(text).name
    expect(text).toBe(sourceText(source))
    expect(readFileSync(join(directory, 'trees', tree, 'fs', 'data'), 'utf8')).toBe(sourceData(source))
  }
}

/** A failure is whole. Of the writer's one is kept; two where it died between the newer one's coming and the older's going. */
function verifyFailures(directory: string): void {
  const refs = readdirSync(directory)
  expect(refs.length).toBeLessThanOrEqual(2)
  for (const ref of refs) {
    expect(whole(join(directory, ref, 'failure.json'), ref)).toBe(failureText(ref))
    expect(readFileSync(join(directory, ref, 'fs', 'data'), 'utf8')).toBe(failureData(ref))
  }
}

/** The text of a file that has its seal. */
function whole(path: string, name: string = basename(path, '.json')): string {
  const sealed = unseal(name, readFileSync(path))
  if (sealed.is !== 'whole') throw new Error(`${path} is ${sealed.is}`)
  return sealed.text
}

function verifyIndex(path: string): void {
  expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ schemaVersion: 2 })
}
