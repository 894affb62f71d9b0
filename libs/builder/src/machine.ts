import { randomBytes } from 'node:crypto'
import { InternalError } from '@tsbuild/errors'
import { createTransport, type ProxySettings, type Transport } from '@tsbuild/http'
import { createNative, findHelper, type IdMap, type Native, rootlessIdMap } from '@tsbuild/native'
import { createRegistryClient, dockerConfigCredentials, type RegistryClient } from '@tsbuild/registry'
import type { OpenTools } from '@tsbuild/remote-cache'
import { openStore, type Store } from '@tsbuild/store'
import { createImageSource, type ImageSource } from './resolve-image.ts'
import type { BuilderOptions } from './types.ts'

/** The parts that builds of one builder share. */
export interface Machine {
  readonly options: BuilderOptions
  readonly native: Native
  /** What the machine has, as this user sees it outside of any user namespace. */
  readonly probe: Native['probe']
  readonly store: Store
  readonly images: ImageSource
  /** @param insecureHosts besides those of the options; the same client for the same hosts */
  readonly registry: (insecureHosts?: readonly string[]) => RegistryClient
  /** For contexts and ADD; not for registries, which have their own. */
  readonly transport: Transport
  /** How servers are reached that are neither: cache-servers. */
  readonly network: NonNullable<OpenTools['network']>
  readonly randomId: () => string
  readonly now: () => number
  close(): Promise<void>
}

/** 32 hex digits, different at each call. */
export function randomId(): string {
  return randomBytes(16).toString('hex')
}

/** Opens the store and finds the helper. */
export async function openMachine(options: BuilderOptions): Promise<Machine> {
  const { helperPath, native } = await openNative(options)
  const now = () => Date.now()
  const store = await openStoreOf(options, native)
  const clients = new Map<string, RegistryClient>()
  const registry = (insecureHosts: readonly string[] = []) => {
    const key = insecureHosts.toSorted().join(' ')
    const client = clients.get(key) ?? createClient(options, insecureHosts)
    clients.set(key, client)
    return client
  }
  const transport = createTransport({ ca: options.trustCa ?? [], proxy: proxyOf(options) })
  return {
    options,
    native,
    probe: () => createNative({ helperPath, idMap: undefined }).probe(),
    store,
    registry,
    transport,
    network: {
      ca: options.trustCa ?? [],
      proxy: proxyOf(options),
      insecureHosts: options.insecureRegistries ?? [],
      certificates: async (host) => (await options.registryHosts?.())?.certificates(host),
    },
    randomId,
    now,
    images: createImageSource({ store, registry: () => registry() }),
    async close() {
      await Promise.all([...[...clients.values()].map((client) => client.close()), transport.close()])
      await store.close()
    },
  }
}

/** Finds the helper. As an ordinary user it also finds out which ids may be mapped. */
export async function openNative(
  options: BuilderOptions,
): Promise<{ readonly helperPath: string; readonly native: Native }> {
  const helperPath = options.helperPath ?? findHelper()
  return { helperPath, native: createNative({ helperPath, idMap: await idMapOf(helperPath) }) }
}

/** Opens the store, with the helper for what only it can do. */
export async function openStoreOf(options: BuilderOptions, native: Native): Promise<Store> {
  return await openStore({
    root: options.root,
    now: () => Date.now(),
    randomId,
    sync: (path) => native.sync([path]),
    removeTrees: (paths) => native.remove(paths),
    measureTrees: (paths) => native.usage(paths),
    contentOf: async (path) => (await native.content([path]))[0],
    durability: options.durability ?? 'full',
  })
}

async function idMapOf(helperPath: string): Promise<IdMap | undefined> {
  const euid = process.geteuid?.()
  const egid = process.getegid?.()
  if (euid === undefined || egid === undefined)
    throw new InternalError('ERR_INTERNAL', 'this is no POSIX system')
  if (euid === 0) return undefined
  const probe = await createNative({ helperPath, idMap: undefined }).probe()
  return rootlessIdMap(probe, egid)
}

function proxyOf({ env = {} }: BuilderOptions): ProxySettings {
  return {
    httpProxy: env.HTTP_PROXY ?? env.http_proxy,
    httpsProxy: env.HTTPS_PROXY ?? env.https_proxy,
    noProxy: env.NO_PROXY ?? env.no_proxy,
  }
}

function createClient(options: BuilderOptions, insecureHosts: readonly string[]): RegistryClient {
  const { dockerConfig } = options
  const ofDocker = dockerConfig === undefined ? undefined : dockerConfigCredentials(dockerConfig)
  return createRegistryClient({
    credentials: options.credentials ?? ofDocker,
    hosts: options.registryHosts,
    trustedRealms: options.trustedRealms,
    ca: options.trustCa ?? [],
    insecureHosts: [...(options.insecureRegistries ?? []), ...insecureHosts],
    proxy: proxyOf(options),
  })
}
