import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type CacheServerProcess, startCacheServer } from '../support/cache-server-process.ts'

let server: CacheServerProcess | undefined
const folders: string[] = []
afterEach(async () => {
  await server?.stop()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tsbuild-cache-full-'))
  folders.push(folder)
  return folder
}

const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** Sends a blob in one request. */
async function push(url: string, bytes: Buffer): Promise<{ readonly status: number; readonly body: string }> {
  const response = await fetch(`${url}/v2/images/full/blobs/uploads/?digest=${digestOf(bytes)}`, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: bytes,
  })
  return { status: response.status, body: await response.text() }
}

const pull = async (url: string, bytes: Buffer) => {
  const response = await fetch(`${url}/v2/images/full/blobs/${digestOf(bytes)}`)
  return { status: response.status, isSame: Buffer.from(await response.arrayBuffer()).equals(bytes) }
}

describe('a cache-server', () => {
  it('that is full says 507 to what is new, and goes on with everything else', async () => {
    server = await startCacheServer(newFolder(), ['--gc-max-size', '8m'])
    const { url, saw } = server
    // Until it has looked how much there is it does not know.
    await saw('Garbage was collected')
    const blobs: Buffer[] = []
    for (;;) {
      const bytes = randomBytes(1024 * 1024)
      const { status, body } = await push(url, bytes)
      if (status !== 201) {
        expect({ status, errors: JSON.parse(body).errors }).toEqual({
          status: 507,
          errors: [expect.objectContaining({ code: expect.any(String), message: expect.any(String) })],
        })
        break
      }
      blobs.push(bytes)
    }
    expect(blobs).toHaveLength(7)
    for (const bytes of blobs) {
      expect(await pull(url, bytes)).toEqual({ status: 200, isSame: true })
      expect((await push(url, bytes)).status).toBe(201)
    }
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
  })

  it('takes away what is damaged on its disk, and has it again when it is sent again', async () => {
    const dir = newFolder()
    server = await startCacheServer(dir)
    const [good, bad] = [randomBytes(1000), randomBytes(1000)]
    for (const bytes of [good, bad]) expect((await push(server.url, bytes)).status).toBe(201)
    await server.stop()
    const hex = digestOf(bad).slice('sha256:'.length)
    const objects = join(dir, 'objects/v1/objects')
    const path = readdirSync(objects, { recursive: true, encoding: 'utf8' }).find(
      (name) => name.includes('content=') && name.endsWith(`/${hex}`),
    )
    const file = join(objects, path ?? '')
    const bytes = readFileSync(file)
    bytes[500] = (bytes[500] ?? 0) ^ 1
    writeFileSync(file, bytes)
    server = await startCacheServer(dir, ['--scrub-per-day', 'unlimited'])
    expect(await server.saw('An object was damaged, and is taken away')).toMatchObject({ size: 1000 })
    expect((await pull(server.url, bad)).status).toBe(404)
    expect(await pull(server.url, good)).toEqual({ status: 200, isSame: true })
    expect((await push(server.url, bad)).status).toBe(201)
    expect(await pull(server.url, bad)).toEqual({ status: 200, isSame: true })
  })
})
