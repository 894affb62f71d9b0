import { repositoryOfScope, type Scope } from '@tsbuild/trust'
import {
  type Attempt,
  digestOf,
  evilLayer,
  expectRefused,
  goodLayer,
  main,
  payloadOf,
  recordOf,
  recordPath,
  type World,
  wantedKey,
} from './world.ts'

/** What a project of others does with the digests of main's layers. */
const theirs = 'evil/app:ref/main' as Scope
const ofTheirs = `/v2/${repositoryOfScope(theirs)}`
const ofMain = repositoryOfScope(main)
const layer = digestOf(goodLayer)
const blobs: readonly Attempt[] = (
  [
    [
      'GET of main’s layer through its own repository',
      (world) => world.send('GET', `${ofTheirs}/blobs/${layer}`, { token: world.tokens.stranger }),
    ],
    [
      'HEAD of it',
      (world) => world.send('HEAD', `${ofTheirs}/blobs/${layer}`, { token: world.tokens.stranger }),
    ],
    [
      'a range of it',
      (world) =>
        world.send('GET', `${ofTheirs}/blobs/${layer}`, {
          token: world.tokens.stranger,
          headers: { range: 'bytes=0-3' },
        }),
    ],
    [
      'GET of it where it is',
      (world) => world.send('GET', `/v2/${ofMain}/blobs/${layer}`, { token: world.tokens.stranger }),
    ],
    [
      'HEAD of it where it is',
      (world) => world.send('HEAD', `/v2/${ofMain}/blobs/${layer}`, { token: world.tokens.stranger }),
    ],
    [
      'tags of main',
      (world) => world.send('GET', `/v2/${ofMain}/tags/list`, { token: world.tokens.stranger }),
    ],
    [
      'an upload of no bytes with its digest',
      (world) =>
        world.send('POST', `${ofTheirs}/blobs/uploads/?digest=${layer}`, {
          token: world.tokens.stranger,
          body: '',
          headers: { 'content-type': 'application/octet-stream' },
        }),
    ],
    [
      'an upload of other bytes with its digest',
      (world) =>
        world.send('POST', `${ofTheirs}/blobs/uploads/?digest=${layer}`, {
          token: world.tokens.stranger,
          body: evilLayer,
          headers: { 'content-type': 'application/octet-stream' },
        }),
    ],
    [
      'a record that names it',
      (world) =>
        world.send('PUT', recordPath(theirs, wantedKey), {
          token: world.tokens.stranger,
          body: recordOf(payloadOf(theirs, wantedKey, goodLayer)),
        }),
    ],
    [
      'a manifest that names it',
      (world) =>
        world.send('PUT', `${ofTheirs}/manifests/x`, {
          token: world.tokens.stranger,
          headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
          body: manifestOf(layer),
        }),
    ],
    [
      'which blobs main lacks',
      (world) =>
        world.send('POST', '/v1/missing', {
          token: world.tokens.stranger,
          body: JSON.stringify({ scope: main, digests: [layer] }),
        }),
    ],
    [
      'other bytes for the digest of main’s layer',
      (world) =>
        world.send('POST', `/v2/${ofMain}/blobs/uploads/?digest=${layer}`, {
          token: world.tokens.main,
          body: evilLayer,
          headers: { 'content-type': 'application/octet-stream' },
        }),
    ],
    [
      'bytes into main’s repository',
      (world) =>
        world.send('POST', `/v2/${ofMain}/blobs/uploads/?digest=${digestOf(evilLayer)}`, {
          token: world.tokens.pr7,
          body: evilLayer,
          headers: { 'content-type': 'application/octet-stream' },
        }),
    ],
    [
      'a tag in main’s repository',
      (world) =>
        world.send('PUT', `/v2/${ofMain}/manifests/latest`, {
          token: world.tokens.pr7,
          headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
          body: manifestOf(layer),
        }),
    ],
    [
      'the layer of main deleted',
      (world) => world.send('DELETE', `/v2/${ofMain}/blobs/${layer}`, { token: world.tokens.pr7 }),
    ],
    [
      'the layer of main deleted, by main’s own token, which may push',
      (world) => world.send('DELETE', `/v2/${ofMain}/blobs/${layer}`, { token: world.tokens.main }),
    ],
  ] as const satisfies readonly (readonly [string, (world: World) => ReturnType<World['send']>])[]
).map(([name, send]) => ({
  row: 'CAC-07',
  name,
  run: async (world: World) => expectRefused(await send(world)),
}))

const presence: readonly Attempt[] = [
  {
    row: 'CAC-07',
    name: 'main’s layer mounted from main’s repository: an upload is demanded',
    run: async (world) => {
      const { status } = await world.send(
        'POST',
        `${ofTheirs}/blobs/uploads/?mount=${layer}&from=${ofMain}`,
        { token: world.tokens.stranger },
      )
      if (status !== 202) throw new Error(`answered ${status}`)
    },
  },
  {
    row: 'CAC-07',
    name: 'main’s layer mounted from anywhere: an upload is demanded',
    run: async (world) => {
      const { status } = await world.send('POST', `${ofTheirs}/blobs/uploads/?mount=${layer}`, {
        token: world.tokens.stranger,
      })
      if (status !== 202) throw new Error(`answered ${status}`)
    },
  },
  {
    row: 'CAC-07',
    name: 'which blobs its own scope lacks: main’s layer is one of them',
    run: async (world) => {
      const { text } = await world.send('POST', '/v1/missing', {
        token: world.tokens.stranger,
        body: JSON.stringify({ scope: theirs, digests: [layer] }),
      })
      if (text !== '{"missing":[0]}') throw new Error(`answered ${text}`)
    },
  },
]

function manifestOf(digest: string): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.empty.v1+json', digest, size: goodLayer.length },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: goodLayer.length }],
  })
}

/** Requests for layers that the sender knows the digests of, and no more. */
export const layersOfOthers: readonly Attempt[] = [...blobs, ...presence]
