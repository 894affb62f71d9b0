import { describe, expect, it } from 'vitest'
import { isSameSite } from './same-site.ts'

describe('isSameSite()', () => {
  it.each([
    ['registry-1.docker.io', 'auth.docker.io'],
    ['ghcr.io', 'ghcr.io'],
    ['quay.io', 'quay.io'],
    ['registry.gitlab.com', 'gitlab.com'],
    ['gcr.io', 'gcr.io'],
    ['europe-docker.pkg.dev', 'europe-docker.pkg.dev'],
    ['me.azurecr.io', 'me.azurecr.io'],
    ['nvcr.io', 'nvcr.io'],
    ['us.icr.io', 'icr.io'],
    ['public.ecr.aws', 'public.ecr.aws'],
    ['registry.digitalocean.com', 'api.digitalocean.com'],
    ['registry.corp.co.uk', 'login.corp.co.uk'],
    ['127.0.0.1', 'localhost'],
    ['registry', 'registry'],
  ])('lets %s send to %s', (registry, realm) => {
    expect(isSameSite(registry, realm)).toBe(true)
  })

  it.each([
    ['registry-1.docker.io', 'auth.docker.io.evil.com'],
    ['docker.io', 'notdocker.io'],
    ['a.co.uk', 'b.co.uk'],
    ['a.azurecr.io', 'b.azurecr.io'],
    ['a.github.io', 'b.github.io'],
    ['1.dkr.ecr.eu-west-1.amazonaws.com', 'evil.s3.amazonaws.com.cn'],
    ['10.0.0.1', '10.0.0.2'],
    ['registry', 'auth'],
    ['a.com', 'com'],
    ['com', 'a.com'],
  ])('does not let %s send to %s', (registry, realm) => {
    expect(isSameSite(registry, realm)).toBe(false)
  })
})
