import { dirname, join, resolve } from 'node:path'
import { createSecureContext } from 'node:tls'
import { UserError } from '@tsbuild/errors'
import type { HostCertificates, RegistryHosts } from '@tsbuild/registry'
import type { HostFiles } from '@tsbuild/registry-config'
import { configFolder, readIfThere, unlessForbidden } from './read-if-there.ts'
import { namesIn, type RegistryHostsHost } from './registry-hosts.ts'

/** The Hub's name in files, and the machine that answers for it. */
const [hub, hubHost] = ['docker.io', 'registry-1.docker.io']

/**
 * Finds the certificates of hosts: those that configuration names, and those in `certs.d/<host>/`: authorities in `*.crt`, and
 * the first `*.cert` with its `*.key`. A host is looked for when it is connected to, so that a key that only root can
 * read is no trouble to somebody who does not need it. Authorities of all places add up; the first client certificate counts.
 */
export function hostCertificates(
  host: RegistryHostsHost,
  files: readonly HostFiles[],
  etc: string,
): RegistryHosts['certificates'] {
  const folder = configFolder(host.env)
  const users = folder === undefined ? [] : [join(folder, 'containers'), join(folder, 'docker')]
  const folders = [...users, join(etc, 'containers'), join(etc, 'docker')].map((one) => join(one, 'certs.d'))
  return async (asked) => {
    const { isHost } = await import('@tsbuild/registry-config')
    if (!isHost(asked)) return undefined
    const names = namesOf(asked)
    const named = files.filter((one) => names.includes(one.host))
    // As podman does: a folder that is closed to this user is not for this user.
    const found = await Promise.all([
      ...named.map((one) => readNamed(one)),
      ...folders.flatMap((one) => names.map((name) => readFolder(join(one, name)))),
    ])
    const ca = found.flatMap((one) => one.ca)
    const client = found.find((one) => one.client !== undefined)?.client
    return ca.length === 0 && client === undefined ? undefined : { ca, client }
  }
}

function namesOf(host: string): readonly string[] {
  const withPort = /:\d+$/.test(host) ? [host] : [host, `${host}:443`]
  return host === hubHost ? [...withPort, hub] : withPort
}

async function readNamed({ ca, client, file }: HostFiles): Promise<HostCertificates> {
  const at = (path: string) => resolve(dirname(file), path)
  return {
    ca: await Promise.all(ca.map((path) => readAuthority(at(path)))),
    client: client === undefined ? undefined : await readClient(at(client.certificate), at(client.key)),
  }
}

async function readFolder(folder: string): Promise<HostCertificates> {
  const names = await unlessForbidden(() => namesIn(folder), [])
  const authorities = names.filter((name) => name.endsWith('.crt'))
  const certificates = names.filter((name) => name.endsWith('.cert')).map((name) => join(folder, name))
  const [first] = certificates
  return {
    ca: await Promise.all(authorities.map((name) => readAuthority(join(folder, name)))),
    client: first === undefined ? undefined : await readClient(first, first.replace(/cert$/, 'key')),
  }
}

async function readAuthority(path: string): Promise<string> {
  const text = await mustRead(path)
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text
  throw new UserError('ERR_CONFIG', `Cannot trust certificates "${path}": expected PEM`)
}

async function readClient(
  certificatePath: string,
  keyPath: string,
): Promise<NonNullable<HostCertificates['client']>> {
  const [certificate, key] = await Promise.all([mustRead(certificatePath), mustRead(keyPath)])
  try {
    createSecureContext({ cert: certificate, key })
  } catch {
    // OpenSSL's words quote nothing, but say nothing either.
    throw new UserError(
      'ERR_CONFIG',
      `Cannot use client certificate "${certificatePath}": it and "${keyPath}" are no pair of PEM files without a password`,
    )
  }
  return { certificate, key }
}

async function mustRead(path: string): Promise<string> {
  const text = await readIfThere(path)
  if (text !== undefined) return text
  throw new UserError('ERR_CONFIG', `Cannot read certificate "${path}": there is no such file`)
}
