import { createHash, randomBytes } from 'node:crypto'
import { startCacheServer } from '../support/cache-server-process.ts'

/** Something that a server said is stored. */
export interface Acknowledged {
  /** Below `/v2/<repository>/`. */
  readonly path: string
  /** `sha256:` and 64 hex digits, of what it must give. */
  readonly digest: string
}

const repository = 'images/power'
const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** Clients that upload to a server until they are told to stop, or it is gone. */
export interface Uploaders {
  /** What was acknowledged so far. */
  readonly acknowledged: () => readonly Acknowledged[]
  /** Answers that were neither success nor the end of the server. */
  readonly refused: () => readonly string[]
  readonly stop: () => Promise<void>
}

/** Starts so many of them: blobs of some sizes, by both ways of sending one, and manifests with tags of their own. */
export function startUploaders(host: string, atOnce: number): Uploaders {
  const acknowledged: Acknowledged[] = []
  const refused: string[] = []
  let stopped = false
  const base = `http://${host}/v2/${repository}`
  const send = async (method: string, url: string, body?: Buffer, type?: string) => {
    const headers = type === undefined ? {} : { 'content-type': type }
    const response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body }) })
    const text = await response.text()
    if (!response.ok) refused.push(`${method} ${url}: ${response.status} ${text}`)
    return response
  }
  const putBlob = async (bytes: Buffer, inOne: boolean) => {
    const digest = digestOf(bytes)
    const begun = inOne
      ? await send('POST', `${base}/blobs/uploads/?digest=${digest}`, bytes, 'application/octet-stream')
      : await send('POST', `${base}/blobs/uploads/`)
    const location = new URL(begun.headers.get('location') ?? '', base)
    location.searchParams.set('digest', digest)
    const ended = inOne ? begun : await send('PUT', location.href, bytes, 'application/octet-stream')
    if (ended.status === 201) acknowledged.push({ path: `blobs/${digest}`, digest })
    return { digest, size: bytes.length, isThere: ended.status === 201 }
  }
  const putManifest = async (mediaType: string, { digest, size }: { digest: string; size: number }) => {
    const descriptor = { mediaType, digest, size }
    const value = { schemaVersion: 2, mediaType: manifestType, config: descriptor, layers: [descriptor] }
    const bytes = Buffer.from(JSON.stringify(value))
    const tag = `t-${randomBytes(8).toString('hex')}`
    const { status } = await send('PUT', `${base}/manifests/${tag}`, bytes, manifestType)
    if (status === 201) acknowledged.push({ path: `manifests/${tag}`, digest: digestOf(bytes) })
  }
  const work = async () => {
    for (let turn = 0; !stopped; turn += 1) {
      const size = turn % 16 === 0 ? 100_000 : 100
      const blob = await putBlob(randomBytes(size), turn % 2 === 0)
      if (blob.isThere && turn % 4 === 0) await putManifest('application/vnd.oci.empty.v1+json', blob)
    }
  }
  // A server that is killed ends the connections: that is the end of the work.
  const working = Promise.allSettled(Array.from({ length: atOnce }, work))
  return {
    acknowledged: () => [...acknowledged],
    refused: () => [...refused],
    stop: async () => {
      stopped = true
      await working
    },
  }
}

/** Starts a server on a directory. @returns what was acknowledged and is not there, or is something else */
export async function findLost(
  dir: string,
  acknowledged: readonly Acknowledged[],
): Promise<readonly string[]> {
  const server = await startCacheServer(dir)
  const lost: string[] = []
  const entries = acknowledged.values()
  const check = async () => {
    for (const { path, digest } of entries) {
      const headers = { accept: manifestType }
      const response = await fetch(`${server.url}/v2/${repository}/${path}`, { headers })
      const bytes = Buffer.from(await response.arrayBuffer())
      if (response.status !== 200) lost.push(`${path}: ${response.status}`)
      else if (digestOf(bytes) !== digest) lost.push(`${path} is ${digestOf(bytes)}, expected ${digest}`)
    }
  }
  await Promise.all(Array.from({ length: 8 }, check))
  await server.stop()
  return lost
}
