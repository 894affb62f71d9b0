import { describe, expect, it } from 'vitest'
import { fileNameOfUrl, parseSourceUrl } from './source-url.ts'

describe('name = last path element (not from Content-Disposition), none → __unnamed__; query ignored', () => {
  it.each([
    ['https://host/a/file.tar.gz', 'file.tar.gz'],
    ['https://host/file?name=other/x', 'file'],
    ['https://host/file#other', 'file'],
    ['https://host/a/b/', 'b'],
    ['https://host/a%20b%2Bc', 'a b+c'],
    ['https://host/a%2Fb', 'b'],
    ['https://host/%E2%82%AC', '€'],
    ['https://host/caf%e9', 'caf%e9'],
    ['https://host/100%', '100%'],
    ['https://host', '__unnamed__'],
    ['https://host/', '__unnamed__'],
    ['https://host/?file', '__unnamed__'],
    ['https://host/..', '__unnamed__'],
    ['https://host/%2e%2e', '__unnamed__'],
    ['https://host/x%2F..', '__unnamed__'],
    ['https://host/..%2F..%2Fetc%2Fpasswd', 'passwd'],
    ['https://host/x%2F.', '__unnamed__'],
    ['https://host/a%00b', '__unnamed__'],
    [`https://host/${'a'.repeat(255)}`, 'a'.repeat(255)],
    [`https://host/${'a'.repeat(256)}`, '__unnamed__'],
    ['no url', '__unnamed__'],
  ])('fileNameOfUrl(%j) is %j', (url, name) => {
    expect(fileNameOfUrl(url)).toBe(name)
  })
})

describe('parseSourceUrl()', () => {
  it('takes user info and fragment out of what is asked for and shown, and the query out of what is shown', () => {
    const source = parseSourceUrl('https://us%40er:p%3Ass@Host:8443/a?sig=CANARY#top')
    expect(source.url.href).toBe('https://host:8443/a?sig=CANARY')
    expect(source.userInfo).toBe('us@er:p:ss')
    expect(source.shown).toBe('https://host:8443/a?…')
  })

  it.each([
    ['https://Example.COM:8443/x', ['Example.COM', 'example.com']],
    ['http://user:p@h@host/x', ['host']],
    ['http://[2001:DB8::1]:80/x', ['2001:DB8::1', '2001:db8::1']],
    ['http://bücher.example/', ['bücher.example', 'xn--bcher-kva.example']],
  ])('names the hosts of %s %j: without the port, as written and as asked', (url, hosts) => {
    expect(parseSourceUrl(url).hosts).toEqual(hosts)
  })

  it.each(['ftp://host/x', 'file:///etc/passwd', '/x', '', 'https://', 'http://u:CANARY@[/x?CANARY'])(
    'refuses %j',
    (url) => {
      let caught: unknown
      try {
        parseSourceUrl(url)
      } catch (error) {
        caught = error
      }
      expect(caught).toMatchObject({ code: 'ERR_URL_INVALID', kind: 'user' })
      expect(String(caught)).not.toContain('CANARY')
    },
  )
})
