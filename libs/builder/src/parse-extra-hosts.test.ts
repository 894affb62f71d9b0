import { describe, expect, it } from 'vitest'
import { parseExtraHosts } from './parse-extra-hosts.ts'

describe('parseExtraHosts()', () => {
  it.each([
    ['db:10.0.0.7', 'db', '10.0.0.7'],
    ['db=10.0.0.7', 'db', '10.0.0.7'],
    ['db.example:::1', 'db.example', '::1'],
    ['db:2001:db8::7', 'db', '2001:db8::7'],
    ['db=2001:db8::7', 'db', '2001:db8::7'],
    ['db:[2001:db8::7]', 'db', '2001:db8::7'],
  ])('reads %s', (text, name, ip) => {
    expect(parseExtraHosts([text])).toEqual([{ name, ip }])
  })

  it('keeps the order and doubled names', () => {
    expect(parseExtraHosts(['b:1.1.1.1', 'a:2.2.2.2', 'b:3.3.3.3']).map(({ ip }) => ip)).toEqual([
      '1.1.1.1',
      '2.2.2.2',
      '3.3.3.3',
    ])
  })

  it.each([
    '',
    'db',
    'db:',
    ':10.0.0.7',
    'db:10.0.0',
    'db:10.0.0.300',
    'db:[::1',
    'db:name',
    'a b:10.0.0.7',
    'a\nb:1.1.1.1',
  ])('throws ERR_USAGE for %j', (text) => {
    expect(() => parseExtraHosts([text])).toThrow(
      expect.objectContaining({ kind: 'user', code: 'ERR_USAGE' }),
    )
  })

  it('host-gateway is this machine, which only its own network reaches', () => {
    expect(parseExtraHosts(['h:host-gateway'], 'host')).toEqual([{ name: 'h', ip: '127.0.0.1' }])
    for (const network of ['default', 'none'] as const)
      expect(() => parseExtraHosts(['h:host-gateway'], network)).toThrow(
        expect.objectContaining({
          code: 'ERR_USAGE',
          message: 'Cannot add host "h:host-gateway": steps do not reach this machine',
          hints: [expect.stringContaining('--network host')],
        }),
      )
  })
})
