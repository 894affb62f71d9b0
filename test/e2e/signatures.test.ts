import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { type RegistryProcess, startRegistry } from '../support/registry-process.ts'
import { check, run } from '../support/tsbuild.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let registry: RegistryProcess | undefined
beforeAll(() => {
  workspace = openWorkspace('signatures')
})
afterAll(async () => {
  await registry?.stop()
  await workspace?.remove()
})

const env = { COSIGN_PASSWORD: 'a password' }
const inFolder = () => ({ cwd: workspace.folder, env })
const tsbuild = (args: readonly string[]) => workspace.tsbuild.check(args, inFolder())

/** Starts the registry and makes the keys once. */
async function prepared(context: Parameters<typeof needs>[0]): Promise<string> {
  needs(context, 'program docker-registry', 'program openssl')
  if (registry === undefined) {
    registry = await startRegistry(workspace.path('registry'))
    await tsbuild(['generate-key-pair'])
  }
  return registry.host
}

/** Builds an image with one file of that text, and pushes it. Gives its name by digest. */
async function push(name: string, text: string): Promise<string> {
  const files = workspace.context(`context-${text}`, { Dockerfile: 'FROM scratch\nCOPY text /', text })
  const metadata = workspace.path('metadata.json')
  await tsbuild(['-q', '-t', name, '--push', '--metadata-file', metadata, files])
  const { 'containerimage.digest': digest } = JSON.parse(readFileSync(metadata, 'utf8'))
  return `${name.slice(0, name.lastIndexOf(':'))}@${digest}`
}

/** A document of the registry. */
async function fetchText(path: string): Promise<string> {
  const accept = 'application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json'
  const response = await fetch(`http://${registry?.host}/v2/${path}`, { headers: { accept } })
  expect(response.status, path).toBe(200)
  return await response.text()
}

const tagOf = (name: string, kind: 'sig' | 'att') =>
  `${name.slice(name.indexOf('@') + 1).replace(':', '-')}.${kind}`

describe('tsbuild generate-key-pair', () => {
  it('makes a private key for its owner alone, and never over one that is there', async (context) => {
    await prepared(context)
    expect(statSync(workspace.path('cosign.key')).mode & 0o777).toBe(0o600)
    const before = readFileSync(workspace.path('cosign.key'), 'utf8')
    const again = await workspace.tsbuild.run(['generate-key-pair'], inFolder())
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('it is there already') })
    expect(readFileSync(workspace.path('cosign.key'), 'utf8')).toBe(before)
    await check('openssl', ['pkey', '-pubin', '-in', workspace.path('cosign.pub'), '-noout'])
  })
})

describe('tsbuild sign', () => {
  it('makes a signature that OpenSSL verifies, and tsbuild too', async (context) => {
    const host = await prepared(context)
    const image = await push(`${host}/signed:1`, 'signed')
    expect(await tsbuild(['sign', '--key', 'cosign.key', '-a', 'stage=test', `${host}/signed:1`])).toBe(
      `${image}\n`,
    )
    const manifest = JSON.parse(await fetchText(`signed/manifests/${tagOf(image, 'sig')}`))
    const [layer] = manifest.layers
    const payload = await fetchText(`signed/blobs/${layer.digest}`)
    expect(JSON.parse(payload)).toEqual({
      critical: {
        identity: { 'docker-reference': `${host}/signed` },
        image: { 'docker-manifest-digest': image.slice(image.indexOf('@') + 1) },
        type: 'cosign container image signature',
      },
      optional: { stage: 'test' },
    })
    const signature = Buffer.from(layer.annotations['dev.cosignproject.cosign/signature'], 'base64')
    writeFileSync(workspace.path('signature'), signature)
    writeFileSync(workspace.path('payload'), payload)
    const verify = ['dgst', '-sha256', '-verify', 'cosign.pub', '-signature', 'signature', 'payload']
    expect(await check('openssl', verify, { cwd: workspace.folder })).toBe('Verified OK\n')
    writeFileSync(workspace.path('payload'), payload.replace('test', 'live'))
    expect((await run('openssl', verify, { cwd: workspace.folder })).code).not.toBe(0)

    const verified = await tsbuild([
      'verify-image',
      '--key',
      'cosign.pub',
      '-a',
      'stage=test',
      `${host}/signed:1`,
    ])
    expect(verified).toBe(`${image}\n  signed as ${host}/signed, stage=test\n`)
  })

  it.each([
    ['ed25519', ['genpkey', '-algorithm', 'ED25519']],
    ['rsa', ['genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048']],
    ['p384', ['ecparam', '-name', 'secp384r1', '-genkey', '-noout']],
    ['encrypted', ['genpkey', '-algorithm', 'ED25519', '-aes256', '-pass', `pass:${env.COSIGN_PASSWORD}`]],
  ])('takes the key of OpenSSL: %s', async (name, args) => {
    const key = workspace.path(`${name}.pem`)
    await check('openssl', [...args, '-out', key])
    const pass = ['-passin', `pass:${env.COSIGN_PASSWORD}`]
    await check('openssl', [
      'pkey',
      '-in',
      key,
      '-pubout',
      '-out',
      `${key}.pub`,
      ...(name === 'encrypted' ? pass : []),
    ])
    const host = registry?.host ?? ''
    const image = await push(`${host}/keys:${name}`, `keys-${name}`)
    await tsbuild(['sign', '--key', key, image])
    expect(await tsbuild(['verify-image', '--key', `${key}.pub`, image])).toContain(image)
    const wrong = await workspace.tsbuild.run(['verify-image', '--key', 'cosign.pub', image], inFolder())
    expect(wrong).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('ERR_SIGNATURE_INVALID'),
    })
  })

  it('adds no signature twice, and says so', async (context) => {
    const host = await prepared(context)
    const image = await push(`${host}/again:1`, 'again')
    await tsbuild(['sign', '--key', 'cosign.key', image])
    const before = await fetchText(`again/manifests/${tagOf(image, 'sig')}`)
    const again = await workspace.tsbuild.run(['sign', '--key', 'cosign.key', image], inFolder())
    expect(again).toMatchObject({
      code: 0,
      stdout: `${image}\n`,
      stderr: expect.stringContaining('has this signature already'),
    })
    expect(await fetchText(`again/manifests/${tagOf(image, 'sig')}`)).toBe(before)
  })

  it('stores a referrer where that is asked for', async (context) => {
    const host = await prepared(context)
    const image = await push(`${host}/referred:1`, 'referred')
    await tsbuild(['sign', '--key', 'cosign.key', '--referrers', image])
    const tags = JSON.parse(await fetchText('referred/tags/list')).tags
    expect(tags).not.toContain(tagOf(image, 'sig'))
    expect(await tsbuild(['verify-image', '--key', 'cosign.pub', image])).toContain(image)
  })

  it('takes the password from standard input, and refuses another', async (context) => {
    const host = await prepared(context)
    const image = await push(`${host}/password:1`, 'password')
    const args = ['sign', '--key', 'cosign.key', image]
    const options = { cwd: workspace.folder }
    const wrong = await workspace.tsbuild.run(args, { ...options, input: 'another\n' })
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('the password does not fit') })
    await workspace.tsbuild.check(args, { ...options, input: `${env.COSIGN_PASSWORD}\n` })
  })
})

describe('--sign-by', () => {
  it('signs what a build pushes under each name, and needs a push', async (context) => {
    const host = await prepared(context)
    const files = workspace.context('sign-by', { Dockerfile: 'FROM scratch\nCOPY text /', text: 'sign-by' })
    const build = ['-q', '-t', `${host}/by/one:1`, '-t', `${host}/by/two:1`, '--sign-by', 'cosign.key']
    await tsbuild([...build, '--push', files])
    for (const name of [`${host}/by/one:1`, `${host}/by/two:1`])
      expect(await tsbuild(['verify-image', '--key', 'cosign.pub', name])).toContain(
        `signed as ${name.slice(0, -2)}`,
      )
    const local = await workspace.tsbuild.run([...build, files], inFolder())
    expect(local).toMatchObject({ code: 2, stderr: expect.stringContaining('nothing is pushed') })
    const asked = await workspace.tsbuild.run([...build, '--push', files], { cwd: workspace.folder })
    expect(asked).toMatchObject({ code: 1, stderr: expect.stringContaining('nobody can be asked') })
    const wrong = await workspace.tsbuild.run([...build, '--push', files], {
      cwd: workspace.folder,
      env: { COSIGN_PASSWORD: 'another' },
    })
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('the password does not fit') })
  })
})

describe('tsbuild verify-image', () => {
  const verify = (name: string, ...more: readonly string[]) =>
    workspace.tsbuild.run(['verify-image', '--key', 'cosign.pub', ...more, name], inFolder())

  it('refuses what is not signed, is signed for another image, or was replaced', async (context) => {
    const host = await prepared(context)
    const one = await push(`${host}/refused:1`, 'refused-one')
    const two = await push(`${host}/refused:2`, 'refused-two')
    expect(await verify(one)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('ERR_SIGNATURE_MISSING'),
    })
    await tsbuild(['sign', '--key', 'cosign.key', one])
    expect(await verify(one)).toMatchObject({ code: 0 })
    // The signature of the one is put beside the other.
    const stolen = await fetchText(`refused/manifests/${tagOf(one, 'sig')}`)
    const stored = await fetch(`http://${host}/v2/refused/manifests/${tagOf(two, 'sig')}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
      body: stolen,
    })
    expect(stored.status).toBe(201)
    expect(await verify(two)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('ERR_SIGNATURE_SUBJECT'),
    })
    // The signed tag means something else now.
    await push(`${host}/refused:1`, 'refused-three')
    expect(await verify(`${host}/refused:1`)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('ERR_SIGNATURE_MISSING'),
    })
    expect(await verify(one, '-a', 'stage=test')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('ERR_SIGNATURE_CLAIMS'),
    })
  })

  it('verifies what is said about an image, and gives it', async (context) => {
    const host = await prepared(context)
    const image = await push(`${host}/attested:1`, 'attested')
    const predicate = { spdxVersion: 'SPDX-2.3', packages: [] }
    mkdirSync(workspace.path('files'), { recursive: true })
    writeFileSync(join(workspace.path('files'), 'sbom.json'), JSON.stringify(predicate))
    const attest = [
      'attest',
      '--key',
      'cosign.key',
      '--type',
      'spdxjson',
      '--predicate',
      'files/sbom.json',
      image,
    ]
    expect(await tsbuild(attest)).toBe(`${image}\n`)
    const verified = await verify(image, '--type', 'spdxjson', '--format', 'json')
    expect(JSON.parse(verified.stdout)).toEqual({
      image,
      digest: image.slice(image.indexOf('@') + 1),
      attestations: [{ predicateType: 'https://spdx.dev/Document', predicate }],
    })
    expect(await verify(image, '--type', 'slsaprovenance1')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('ERR_SIGNATURE_CLAIMS'),
    })
    // An attestation is no signature.
    expect(await verify(image)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('ERR_SIGNATURE_MISSING'),
    })
  })

  it('reads signatures that were copied into a layout and into the local list', async (context) => {
    const host = await prepared(context)
    const image = await push(`${host}/copied:1`, 'copied')
    const digest = image.slice(image.indexOf('@') + 1)
    await tsbuild(['sign', '--key', 'cosign.key', '-a', 'from=tag', image])
    await tsbuild(['copy', '-q', `docker://${host}/copied:1`, 'oci:layout:1'])
    expect(await verify('oci:layout:1')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Cannot verify "oci:layout:1": it has no signature'),
    })
    const tag = tagOf(image, 'sig')
    await tsbuild(['copy', '-q', `docker://${host}/copied:${tag}`, `oci:layout:${tag}`])
    expect((await verify('oci:layout:1')).stdout).toBe(
      `oci:layout@${digest}\n  signed as ${host}/copied, from=tag\n`,
    )
    for (const name of [`${host}/copied:1`, `${host}/copied:${tag}`]) await tsbuild(['pull', '-q', name])
    expect((await verify(`store:${host}/copied:1`)).stdout).toContain(`${image}\n  signed as`)

    await tsbuild(['sign', '--key', 'cosign.key', '-a', 'from=referrer', '--referrers', image])
    await tsbuild(['copy', '-q', '--referrers', `docker://${host}/copied:1`, 'oci-archive:archive.tar:1'])
    expect((await verify('oci-archive:archive.tar:1', '-a', 'from=referrer')).stdout).toContain(
      'from=referrer',
    )
    await tsbuild(['pull', '-q', '--referrers', `${host}/copied:1`])
    expect((await verify(`store:${host}/copied:1`, '-a', 'from=referrer')).stdout).toContain('from=referrer')
    expect(await verify('-')).toMatchObject({ code: 1, stderr: expect.stringContaining('ERR_UNSUPPORTED') })
  })

  it('copy --referrers brings signatures and attestations to another registry and into a layout', async (context) => {
    const host = await prepared(context)
    const image = await push(`${host}/from:1`, 'from')
    writeFileSync(workspace.path('said.json'), '{"said":true}')
    await tsbuild(['sign', '--key', 'cosign.key', image])
    await tsbuild(['attest', '--key', 'cosign.key', '--type', 'custom', '--predicate', 'said.json', image])
    await tsbuild(['copy', '-q', '--referrers', `docker://${image}`, `docker://${host}/to:1`])
    expect((await verify(`${host}/to:1`)).stdout).toContain(`signed as ${host}/from`)
    expect((await verify(`${host}/to:1`, '--type', 'custom')).code).toBe(0)
    await tsbuild(['copy', '-q', '--referrers', `docker://${host}/to:1`, 'oci:brought:1'])
    expect((await verify('oci:brought:1')).stdout).toContain(`signed as ${host}/from`)
    expect((await verify('oci:brought:1', '--type', 'custom')).code).toBe(0)
    await tsbuild(['copy', '-q', '--referrers', 'oci:brought:1', `docker://${host}/back:1`])
    expect((await verify(`${host}/back:1`)).code).toBe(0)
  })
})
