/** Counts one up so many times, in an object that other processes count in too. Arguments: the directory, and how often. */
import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { openFsStore } from '@tsbuild/object-store'

const [root = '', times = '0'] = process.argv.slice(2)
const randomId = () => randomBytes(16).toString('hex')
const store = await openFsStore({ root, now: Date.now, randomId, durability: 'none' })
for (let done = 0; done < Number(times); ) {
  const body = await store.get('count')
  const value = body === undefined ? 0 : Number((await buffer(body.stream)).toString())
  const changed = await store.cas('count', body?.info.version ?? null, Buffer.from(`${value + 1}`))
  if (changed !== undefined) done += 1
}
await store.close()
