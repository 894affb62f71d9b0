import { describe, expect, it } from 'vitest'
import { leadsInside } from './index.ts'

const host = (url: string) => new URL(url).hostname

describe('leadsInside()', () => {
  it.each([
    'http://127.1/',
    'http://2130706433/',
    'http://0x7f000001/',
    'http://127.0.0.1./',
    'http://0/',
    'http://localhost./',
    'http://a.localhost/',
    'http://[::]/',
    'http://[::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::ffff:169.254.169.254]/',
    'http://[64:ff9b::127.0.0.1]/',
    'http://[64:ff9b::169.254.169.254]/',
    'http://[::127.0.0.1]/',
    'http://[fe80::1]/',
    'http://169.254.170.2/',
    'http://metadata.google.internal./',
    'http://[fd00:ec2::254]/',
    'http://192.0.0.192/',
    'http://168.63.129.16/',
  ])('refuses a redirect from elsewhere to %s', (url) => {
    expect(leadsInside('example.com', host(url))).toBe(true)
  })

  it.each(['http://10.0.0.1/', 'http://example.org/', 'http://[2001:db8::1]/', 'http://[64:ff9b::8.8.8.8]/'])(
    'lets one to %s be',
    (url) => {
      expect(leadsInside('example.com', host(url))).toBe(false)
    },
  )
})
