// Builds an image from another program, without the command: node build.js CONTEXT ARCHIVE [STORE]
import { resolve } from 'node:path'
import { build } from '@tsbuild/builder'

const [context = '.', archive = 'image.tar', root = '/var/lib/tsbuild'] = process.argv.slice(2)

const handle = build({
  root: resolve(root),
  cwd: process.cwd(),
  context,
  tags: ['from-a-program:1.0'],
  outputs: [{ type: 'oci', dest: resolve(archive) }],
})
process.once('SIGINT', () => handle.cancel())

const names = new Map()
for await (const event of handle.events) {
  if (event.type === 'vertex.planned') names.set(event.vertex, event.name)
  if (event.type === 'vertex.cached') console.log('cached    ', names.get(event.vertex))
  if (event.type === 'vertex.completed') console.log('completed ', names.get(event.vertex))
  if (event.type === 'vertex.log') process.stderr.write(event.data)
}

try {
  const result = await handle.result
  console.log(`${result.image?.digest} in ${archive}: ${result.steps.executed} of ${result.steps.total} steps executed`)
} catch (error) {
  // Every error has a stable code; `source` names the Dockerfile lines.
  console.error(`${error.code}: ${error.message}`)
  process.exitCode = 1
}
