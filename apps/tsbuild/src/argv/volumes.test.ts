import { describe, expect, it } from 'vitest'
import { parseEnvFile, parsePort, parseVolume } from './volumes.ts'

describe('parseVolume()', () => {
  it.each([
    ['/data:/srv', { source: '/data', target: '/srv', readOnly: false }],
    ['./a b:/srv/:ro', { source: '/work/a b', target: '/srv/', readOnly: true }],
    ['../x:/x:rw', { source: '/x', target: '/x', readOnly: false }],
  ])('reads %s', (text, volume) => {
    expect(parseVolume(text, '/work')).toEqual(volume)
  })

  it.each(['', '/data', ':/x', '/data:', '/data:srv', '/data:/srv:rx', '/a:/b:ro:z'])(
    'refuses %j',
    (text) => {
      expect(() => parseVolume(text, '/work')).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
    },
  )

  it('refuses a named volume and says how a directory is named', () => {
    expect(() => parseVolume('cache:/x', '/work')).toThrow(
      expect.objectContaining({
        code: 'ERR_UNSUPPORTED',
        hints: ['A directory of that name is `./cache`.'],
      }),
    )
  })
})

describe('parsePort()', () => {
  it.each([
    ['8080:80', { address: '127.0.0.1', host: 8080, inside: 80, protocol: 'tcp' }],
    ['0.0.0.0:53:53/udp', { address: '0.0.0.0', host: 53, inside: 53, protocol: 'udp' }],
    ['[::1]:8080:80/tcp', { address: '::1', host: 8080, inside: 80, protocol: 'tcp' }],
  ])('reads %s', (text, port) => {
    expect(parsePort(text)).toEqual(port)
  })

  it.each([
    '',
    '80',
    '80:',
    ':80',
    '0:80',
    '80:65536',
    '80:80/sctp',
    'host:80:80',
    '8000-8010:80',
    '1:2:3:4',
  ])('refuses %j', (text) => {
    expect(() => parsePort(text)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  })
})

describe('parseEnvFile()', () => {
  it('gives the lines that are variables, as they are', () => {
    expect(parseEnvFile('# comment\n\nA=1 2\r\n  B="quoted"\nC\n')).toEqual(['A=1 2', 'B="quoted"', 'C'])
  })
})
