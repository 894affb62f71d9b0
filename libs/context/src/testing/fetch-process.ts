/** The child process of the tests that kill: fetches the URL that is its second argument into the store at its first. */
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { createTransport } from '@tsbuild/http'
import { openStore } from '@tsbuild/store'
import { createHttpSources } from '../http/http-sources.ts'

const [root = '', url = ''] = process.argv.slice(2)
const store = await openStore({
  root,
  now: Date.now,
  randomId: () => randomBytes(16).toString('hex'),
  sync: async () => {},
  removeTrees: async (paths) => {
    for (const path of paths) rmSync(path, { recursive: true, force: true })
  },
  durability: 'full',
})
const sources = createHttpSources({
  store,
  transport: createTransport({}),
  secrets: async () => undefined,
  now: Date.now,
})
await sources.http(
  { url, filename: 'file', checksum: undefined },
  { signal: new AbortController().signal, onProgress: (received) => process.stdout.write(`${received}\n`) },
)
