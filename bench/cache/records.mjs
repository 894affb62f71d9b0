// Records for the server to hold: steps of one layer each, unsigned, as a client sends them. The server signs them.
import { createHash } from 'node:crypto'

const scope = 'local:ref/main'
/** Where the layers of that scope are. */
export const scopeRepository = 'cache/local__ref/main'

const digestOf = (text) => `sha256:${createHash('sha256').update(text).digest('hex')}`

/** The key of the n-th record. */
export function recordKey(n) {
  return digestOf(`key ${n}`)
}

/** A request for `POST /v1/records` with so many records from the n-th on, whose layer is one blob that is there. */
export function recordsFrom(first, count, blob) {
  const records = Array.from({ length: count }, (_, index) => record(first + index, blob))
  return JSON.stringify({ records })
}

function record(n, { digest, size }) {
  const key = recordKey(n)
  const payload = {
    v: 1,
    key,
    scope,
    result: {
      keys: [key],
      outputKey: digestOf(`output ${n}`),
      name: `[build ${n % 20}/20] RUN make target-${n}`,
      layer: [
        {
          mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
          digest,
          size,
          diffId: digestOf(`tar ${n}`),
          form: { format: 'gzip', level: 6, clampMtime: null },
        },
      ],
      createdAt: 1_750_000_000_000 + n,
      durationMs: 1000,
    },
    identity: { build: digestOf(`build ${n % 100}`), stage: 'build', platform: 'linux/amd64' },
    inputs: [],
    producer: { subject: '', builder: 'tsbuild/0.1.0' },
  }
  const written = Buffer.from(JSON.stringify(payload)).toString('base64')
  return {
    envelope: { payloadType: 'application/vnd.tsbuild.step.v1+json', payload: written, signatures: [] },
  }
}
