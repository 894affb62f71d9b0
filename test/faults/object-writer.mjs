/**
 * What the tests of faults kill: a process that uses an object store in a directory, and says after each call what it was told. Its
 * argument is the directory.
 */
import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { openFsStore } from '@tsbuild/object-store'

const [root = ''] = process.argv.slice(2)

/** Synchronous: what was said has left the process before it can be killed. */
const say = (line) => writeSync(1, `${JSON.stringify(line)}\n`)

const expectationOf = (bytes) => ({
  sha256: createHash('sha256').update(bytes).digest('hex'),
  size: bytes.length,
})
const keyOf = (bytes) => `blobs/sha256/${expectationOf(bytes).sha256}`

async function work(store) {
  const texts = ['first', 'second', 'third'].map((name) => Buffer.from(`the ${name} blob`))
  const [first, second, third] = texts
  await store.putIfAbsent(keyOf(first), first, expectationOf(first))
  say({ put: keyOf(first) })
  await store.putIfAbsent(keyOf(second), Readable.from([second]), expectationOf(second))
  say({ put: keyOf(second) })
  const path = join(store.scratch, randomBytes(8).toString('hex'))
  writeFileSync(path, third)
  await store.putIfAbsent(keyOf(third), { path, size: third.length }, expectationOf(third))
  say({ put: keyOf(third) })
  await store.putIfAbsent(keyOf(first), first, expectationOf(first))
  for (const value of ['1', '2', '3', null]) {
    const old = (await store.head('names/a'))?.version ?? null
    say({ replacing: value })
    await store.cas('names/a', old, value === null ? null : Buffer.from(value))
    say({ value })
  }
  say({ deleting: keyOf(second) })
  await store.delete(keyOf(second))
  say({ deleted: keyOf(second) })
}

try {
  const randomId = () => randomBytes(16).toString('hex')
  const store = await openFsStore({ root, now: Date.now, randomId, durability: 'full' })
  say({ opened: true })
  await work(store)
  await store.close()
  say({ closed: true })
} catch (error) {
  say({ failed: error.code ?? String(error) })
  process.exitCode = 1
}
