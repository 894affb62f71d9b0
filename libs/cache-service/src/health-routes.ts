import { type Route, sendBytes, sendJson } from '@tsbuild/http-server'
import type { Registry } from 'prom-client'

/** See {@link healthRoutes}. */
export interface HealthRoutesOptions {
  /** Fails while the storage does not take, give and delete: `probe` of the engine. */
  readonly probe: (signal: AbortSignal) => Promise<void>
  /** Whether the server is ending: it is not ready then, so that nobody new is sent to it. */
  readonly isEnding: () => boolean
  readonly registry: Registry
  /** Whether `/metrics` is shown to everybody. Otherwise it needs the operation `admin`. */
  readonly publicMetrics: boolean
  /** Unix ms. */
  readonly now: () => number
}

/** How long a probe may take, and how long its result counts: anybody may ask. */
const probeMs = 2000
const countsMs = 1000

/** `/healthz`, `/readyz` and `/metrics`. */
export function healthRoutes(options: HealthRoutesOptions): readonly Route[] {
  const { registry, publicMetrics } = options
  const isReady = createReadiness(options)
  const target = () => ({ kind: 'server' }) as const
  return [
    {
      ...{ method: 'GET', path: '/healthz', needs: 'public', target },
      handle: async ({ response }) => sendJson(response, 200, { status: 'ok' }, noStore),
    },
    {
      ...{ method: 'GET', path: '/readyz', needs: 'public', target },
      handle: async ({ response }) => {
        const why = await isReady()
        sendJson(response, why === undefined ? 200 : 503, { status: why ?? 'ok' }, noStore)
      },
    },
    {
      ...{ method: 'GET', path: '/metrics', needs: publicMetrics ? 'public' : 'admin', target },
      handle: async ({ response }) => {
        const text = await registry.metrics()
        sendBytes(response, 200, text, { 'Content-Type': registry.contentType, ...noStore })
      },
    },
  ]
}

const noStore = { 'Cache-Control': 'no-store' }

/** Says why the server is not ready; undefined where it is. Callers of one moment share a probe. */
function createReadiness({ probe, isEnding, now }: HealthRoutesOptions): () => Promise<string | undefined> {
  let probed: { readonly at: number; readonly result: Promise<string | undefined> } | undefined
  return async () => {
    if (isEnding()) return 'ending'
    if (probed === undefined || Math.abs(now() - probed.at) >= countsMs) {
      // Strangers are not told what the storage said.
      const result = within(probe).then(
        () => undefined,
        () => 'the storage does not answer',
      )
      probed = { at: now(), result }
    }
    return await probed.result
  }
}

async function within(probe: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const signal = AbortSignal.timeout(probeMs)
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  await Promise.race([probe(signal), late])
}
