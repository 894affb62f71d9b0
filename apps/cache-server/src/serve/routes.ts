import { type Route, sendJson } from '@tsbuild/http-server'
import type { OpenObjectStore } from '@tsbuild/object-store'
import type { Log } from '../log/log.ts'
import type { Settings } from '../settings/read-settings.ts'
import type { LiveTrust } from './live-trust.ts'

/** What the routes of all libs are made with. */
export interface RouteParts {
  readonly store: OpenObjectStore
  readonly trust: LiveTrust
  readonly settings: Settings
  readonly log: Log
  readonly now: () => number
}

/** The table of routes, and what has to be ended with them. */
export interface Routes {
  readonly table: readonly Route[]
  close(): Promise<void>
}

/** Puts the routes of all libs together. */
export async function routesOf(_parts: RouteParts): Promise<Routes> {
  const table: Route[] = [
    {
      method: 'GET',
      path: '/healthz',
      needs: 'public',
      target: () => ({ kind: 'server' }),
      handle: async ({ response }) => sendJson(response, 200, { status: 'ok' }),
    },
  ]
  return { table, close: async () => {} }
}
