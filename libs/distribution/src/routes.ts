import { join } from 'node:path'
import {
  type Exchange,
  type Method,
  type Need,
  type Params,
  type Route,
  sendJson,
} from '@tsbuild/http-server'
import type { OpenObjectStore } from '@tsbuild/object-store'
import type { Target } from '@tsbuild/trust'
import { deleteBlob, getBlob } from './blob-routes.ts'
import {
  type Allowance,
  type DistributionContext,
  type DistributionLimits,
  defaultDistributionLimits,
} from './context.ts'
import { boundlessRoom, type DiskRoom } from './disk-room.ts'
import { fileUploads } from './file-uploads.ts'
import { listReferrers, listRepositories, listTags } from './list-routes.ts'
import { deleteManifest, getManifest, putManifest } from './manifest-routes.ts'
import { isRepositoryName } from './names.ts'
import { Repositories } from './repositories.ts'
import { askForToken, type SignIn, tokenRoute } from './sign-in.ts'
import {
  appendToUpload,
  beginUpload,
  cancelUpload,
  finishUpload,
  getUpload,
  rememberSeen,
} from './upload-routes.ts'
import type { Uploads } from './uploads.ts'

/** What the routes of `/v2` are made with. */
export interface DistributionOptions {
  readonly store: Pick<OpenObjectStore, 'scratch'> & DistributionContext['repositories']['store']
  /** Unix ms. */
  readonly now: () => number
  /** Lowercase hex digits, as many, that nobody guesses: ids of uploads. */
  readonly randomHex: (digits: number) => string
  readonly limits?: Partial<DistributionLimits> | undefined
  /** Default: what the token itself says, for each request anew. */
  readonly allowance?: Allowance | undefined
  /** Default: as much as the disk takes. */
  readonly room?: DiskRoom | undefined
  /** For a server that everybody may read from; undefined: `/v2/` asks for a token as every route does. */
  readonly signIn?: SignIn | undefined
}

/** The OCI distribution API. */
export interface Distribution {
  readonly routes: readonly Route[]
  /** To be expired from time to time; for metrics. */
  readonly uploads: Uploads
  /** For what reads and writes repositories without HTTP. */
  readonly repositories: Repositories
}

/** Put into every answer of a server with these routes: Docker looks for it. */
export const distributionHeaders = { 'Docker-Distribution-Api-Version': 'registry/2.0' } as const

/**
 * The routes of `/v2` over an object store.
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
 */
export function distributionRoutes(options: DistributionOptions): Distribution {
  const { store, now, randomHex, signIn } = options
  const limits = { ...defaultDistributionLimits, ...options.limits }
  const bounds = { perOwner: limits.uploadsPerToken, inAll: limits.uploads }
  const directory = join(store.scratch, 'uploads')
  const room = options.room ?? boundlessRoom
  const uploads = fileUploads({ directory, bounds, room, now, randomHex })
  const repositories = new Repositories(store, now)
  const allowance = options.allowance ?? {
    left: (grant) => grant.maxBytes ?? Number.POSITIVE_INFINITY,
    sent() {},
  }
  const asksForToken = signIn !== undefined
  const context = { repositories, uploads, limits, allowance, asksForToken, seenIn: rememberSeen(10_000) }
  const routes = table.map((line) => routeOf(context, line))
  return { routes: signIn === undefined ? routes : [...routes, tokenRoute(signIn)], uploads, repositories }
}

type Handler = (context: DistributionContext, exchange: Exchange) => Promise<void>
type Line = readonly [Method, string, Need, Handler]

/** Who may push may not delete: except what is no content yet. */
const table: readonly Line[] = [
  ['GET', '/v2/', 'any', sayVersion],
  ['GET', '/v2/_catalog', 'any', listRepositories],
  ['GET', '/v2/{name...}/blobs/{digest}', 'pull', getBlob],
  ['DELETE', '/v2/{name...}/blobs/{digest}', 'delete', deleteBlob],
  ['POST', '/v2/{name...}/blobs/uploads/', 'push', beginUpload],
  ['GET', '/v2/{name...}/blobs/uploads/{id}', 'push', getUpload],
  ['PATCH', '/v2/{name...}/blobs/uploads/{id}', 'push', appendToUpload],
  ['PUT', '/v2/{name...}/blobs/uploads/{id}', 'push', finishUpload],
  ['DELETE', '/v2/{name...}/blobs/uploads/{id}', 'push', cancelUpload],
  ['GET', '/v2/{name...}/manifests/{reference}', 'pull', getManifest],
  ['PUT', '/v2/{name...}/manifests/{reference}', 'push', putManifest],
  ['DELETE', '/v2/{name...}/manifests/{reference}', 'delete', deleteManifest],
  ['GET', '/v2/{name...}/tags/list', 'pull', listTags],
  ['GET', '/v2/{name...}/referrers/{digest}', 'pull', listReferrers],
]

function routeOf(context: DistributionContext, [method, path, needs, handle]: Line): Route {
  const target = path.includes('{name...}') ? repositoryTarget : serverTarget
  return { method, path, needs, target, handle: (exchange) => handle(context, exchange) }
}

async function sayVersion({ asksForToken }: DistributionContext, exchange: Exchange): Promise<void> {
  if (asksForToken) askForToken(exchange)
  sendJson(exchange.response, 200, {})
}

function repositoryTarget({ name = '' }: Params): Target | undefined {
  return isRepositoryName(name) ? { kind: 'repository', name } : undefined
}

function serverTarget(): Target {
  return { kind: 'server' }
}
