import { describe, expect, it } from 'vitest'
import { parseSourceUrl } from './source-url.ts'

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

  it.each([
    'ftp://host/x',
    'file:///etc/passwd',
    '/x',
    '',
    'https://',
    'http://u:CANARY@[/x?CANARY',
    'http://u:p/CANARY@host/',
  ])('refuses %j', (url) => {
    let caught: unknown
    try {
      parseSourceUrl(url)
    } catch (error) {
      caught = error
    }
    expect(caught).toMatchObject({ code: 'ERR_URL_INVALID', kind: 'user' })
    expect(String(caught)).not.toContain('CANARY')
  })
})
