import { describe, expect, it } from 'vitest'
import { claimsOf } from './claims.ts'

const claims = (flags: Omit<Parameters<typeof claimsOf>[0], 'ttl'> & { readonly ttl?: string }) =>
  claimsOf({ ttl: '1h', ...flags }, 'id')

describe('claimsOf()', () => {
  it.each([
    [{ scope: 'acme/app:ref/main' }, ['acme/app:ref/main'], ['pull', 'push']],
    [{ scope: 'acme/app:pr/7' }, ['acme/app:pr/7', 'acme/app:ref/main'], ['pull', 'push']],
    [{ scope: 'acme/app:pr/7', read: ['acme/app:pr/7'] }, ['acme/app:pr/7'], ['pull', 'push']],
    [{ read: ['acme/app:ref/main'] }, ['acme/app:ref/main'], ['pull']],
    [{ repositories: ['team/**'] }, [], ['pull', 'push']],
    [{ pull: ['team/*'] }, [], ['pull']],
    [{ ops: 'admin' }, [], ['admin']],
  ])('of %j reads %j and may %j', (flags, read, operations) => {
    expect(claims(flags)).toMatchObject({ read, operations })
  })

  it('has a subject, a time and a limit', () => {
    expect(claims({ scope: 'a:ref/main', subject: 'ci', ttl: '2h', maxBytes: '1g' })).toMatchObject({
      subject: 'token:ci',
      ttl: 7200,
      maxBytes: 2 ** 30,
      id: 'id',
    })
  })

  it.each([
    {},
    { scope: 'main' },
    { read: ['*'] },
    { scope: 'a:ref/main', ops: 'pull,write' },
    { scope: 'a:ref/main', ttl: '0s' },
    { scope: 'a:ref/main', ttl: '10000d' },
    { scope: 'a:ref/main', subject: 'a b' },
    { repositories: ['../x'] },
    { repositories: ['Team'] },
    { scope: 'a:ref/main', maxBytes: 'much' },
  ])('refuses %j', (flags) => {
    expect(() => claims(flags)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  })
})
