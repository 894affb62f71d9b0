import { UserError } from '@tsbuild/errors'
import type { ExportContext } from '@tsbuild/exporter'
import { type Descriptor, formatReference, parseReference } from '@tsbuild/oci'
import type { RegistryClient } from '@tsbuild/registry'
import type { SigningKey } from '@tsbuild/signature'
import { outputsOf, pushes } from './outputs.ts'
import type { BuildOptions } from './types.ts'

/** Signs what a build pushes. */
export interface PushSigner {
  /** Signs the image under each name, by its digest. Idempotent. */
  readonly sign: (
    image: Descriptor,
    names: readonly string[],
    registry: () => RegistryClient,
    context: ExportContext,
  ) => Promise<void>
}

/**
 * Reads the key of `--sign-by` before there is anything to sign, and asks for its password.
 *
 * @returns undefined where nothing is to be signed
 * @throws {UserError} `ERR_SIGNATURE_KEY`; `ERR_USAGE` where nothing is pushed
 */
export async function openPushSigner(options: BuildOptions): Promise<PushSigner | undefined> {
  if (options.signBy === undefined) return undefined
  if (!outputsOf(options).some(pushes)) {
    throw new UserError(
      'ERR_USAGE',
      'Cannot sign the image: signatures are kept beside it in a registry, and nothing is pushed',
      {
        hints: ['Add --push, or sign later with `tsbuild sign`.'],
      },
    )
  }
  const { signingKeyOf } = await import('./signature-calls.ts')
  const key = await signingKeyOf(options.signBy)
  return {
    sign: async (image, names, registry, context) => {
      for (const name of names) await signOne(key, { image, name, client: registry() }, context)
    },
  }
}

async function signOne(
  key: SigningKey,
  what: { readonly image: Descriptor; readonly name: string; readonly client: RegistryClient },
  { signal, vertex, events, now }: ExportContext,
): Promise<void> {
  const { registryPlace, signImage } = await import('@tsbuild/signature')
  const { registry, repository } = parseReference(what.name)
  const reference = { registry, repository, digest: what.image.digest }
  await signImage(registryPlace(what.client, signal), reference, { key })
  const id = `signing ${formatReference(reference)}`
  events({ type: 'vertex.status', vertex, id, currentBytes: 0, totalBytes: null, done: true, at: now() })
}
