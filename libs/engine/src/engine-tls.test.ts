import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openEngine } from './open-engine.ts'

let folder = ''
let server: Server
let env: Readonly<Record<string, string>>

/** A certificate for this machine that is its own authority, in the files of DOCKER_CERT_PATH. */
function makeCertificate(name: string): string {
  const path = join(folder, name)
  mkdirSync(path)
  const files = ['-keyout', join(path, 'key.pem'), '-out', join(path, 'cert.pem')]
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1']
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  execFileSync('openssl', ['req', ...kind, ...subject, ...files], { stdio: 'ignore' })
  cpSync(join(path, 'cert.pem'), join(path, 'ca.pem'))
  return path
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-engine-tls-'))
  const engine = makeCertificate('engine')
  const read = (name: string) => readFileSync(join(engine, name), 'utf8')
  const tls = { cert: read('cert.pem'), key: read('key.pem'), ca: read('ca.pem') }
  server = createServer({ ...tls, requestCert: true, rejectUnauthorized: true }, (request, response) => {
    response.setHeader('Api-Version', '1.41')
    response.end(request.url === '/_ping' ? 'OK' : '{"ServerVersion":"20.10.0"}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  env = { DOCKER_HOST: `tcp://127.0.0.1:${port}`, DOCKER_CERT_PATH: engine, DOCKER_TLS_VERIFY: '1' }
})
afterAll(async () => {
  await new Promise((resolve) => server.close(resolve))
  rmSync(folder, { recursive: true })
})

describe('openEngine() over TLS', () => {
  it('shows the certificate of DOCKER_CERT_PATH', async () => {
    const { title } = await openEngine({ env })
    expect(title).toBe(`Docker 20.10.0 at ${env.DOCKER_HOST}`)
  })

  it('refuses an engine whose certificate is of nobody it knows', async () => {
    const stranger = makeCertificate('stranger')
    for (const file of ['cert.pem', 'key.pem']) cpSync(join(folder, 'engine', file), join(stranger, file))
    await expect(openEngine({ env: { ...env, DOCKER_CERT_PATH: stranger } })).rejects.toMatchObject({
      code: 'ERR_ENGINE_UNREACHABLE',
      message: expect.stringMatching(/certificate/),
    })
    // Who does not want proof gets none.
    await expect(
      openEngine({ env: { ...env, DOCKER_CERT_PATH: stranger, DOCKER_TLS_VERIFY: '' } }),
    ).resolves.toBeDefined()
  })

  it('is refused without a certificate, and in plain text', async () => {
    const nobody = join(folder, 'nobody')
    mkdirSync(nobody)
    cpSync(join(folder, 'engine', 'ca.pem'), join(nobody, 'ca.pem'))
    for (const other of [nobody, '']) {
      const tls = other === '' ? { DOCKER_TLS_VERIFY: '' } : {}
      await expect(openEngine({ env: { ...env, ...tls, DOCKER_CERT_PATH: other } })).rejects.toMatchObject({
        code: 'ERR_ENGINE_UNREACHABLE',
      })
    }
  })
})
