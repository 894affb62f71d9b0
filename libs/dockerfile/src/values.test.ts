import { describe, expect, it } from 'vitest'
import { parseByteSize } from './byte-size.ts'
import { splitCsv } from './csv.ts'
import { parseDuration } from './duration.ts'
import { parseExposePort } from './ports.ts'
import { parseSignal } from './signals.ts'

const syntaxError = expect.objectContaining({ code: 'ERR_DOCKERFILE_SYNTAX' })

describe('parseDuration()', () => {
  it.each([
    ['0', 0],
    ['1ns', 1],
    ['1us', 1e3],
    ['1µs', 1e3],
    ['1.5ms', 1.5e6],
    ['30s', 30e9],
    ['1h2m3.5s', 3_723_500_000_000],
    ['.5s', 5e8],
    ['1.s', 1e9],
    ['-1s', -1e9],
    ['+1s', 1e9],
  ])('reads %j', (text, nanoseconds) => {
    expect(parseDuration(text)).toBe(nanoseconds)
  })

  it.each([
    ['', 'invalid duration ""'],
    ['5', 'missing unit in duration "5"'],
    ['5d', 'unknown unit "d" in duration "5d"'],
    ['.s', 'invalid duration ".s"'],
    ['1 s', 'unknown unit " s" in duration "1 s"'],
    ['9999999h', 'invalid duration "9999999h"'],
  ])('says what is wrong with %j', (text, message) => {
    expect(parseDuration(text)).toBe(message)
  })
})

describe('parseExposePort()', () => {
  const written = (word: string) => parseExposePort(word).map(({ port, protocol }) => `${port}/${protocol}`)

  it.each([
    ['80', ['80/tcp']],
    ['80/', ['80/tcp']],
    ['53/UDP', ['53/udp']],
    ['1-3/sctp', ['1/sctp', '2/sctp', '3/sctp']],
    ['8080:80', ['80/tcp']],
    ['127.0.0.1:1-2:3-4', ['3/tcp', '4/tcp']],
    ['[::1]:80:81/udp', ['81/udp']],
    ['0', ['0/tcp']],
  ])('reads %j', (word, ports) => {
    expect(written(word)).toEqual(ports)
  })

  it.each(['', '/tcp', 'x', '65536', '-1', '3-1', '80/icmp', 'a.b:1:2', 'x:80', '1-3:4-5', '1e3', ' 80'])(
    'refuses %j',
    (word) => {
      expect(() => written(word)).toThrowError(syntaxError)
    },
  )
})

describe('parseSignal()', () => {
  it.each([
    ['SIGTERM', 15],
    ['term', 15],
    ['9', 9],
    ['SIGRTMIN', 34],
    ['SIGRTMIN+3', 37],
    ['RTMAX-14', 50],
    ['sigrtmax', 64],
    ['SIGCLD', 17],
  ])('reads %j', (text, number) => {
    expect(parseSignal(text)).toBe(number)
  })

  it.each(['', '0', '-1', 'SIGX', 'RTMIN+16', 'RTMIN-1', 'RTMAX+1', 'RTMAX-15'])('refuses %j', (text) => {
    expect(() => parseSignal(text)).toThrowError(syntaxError)
  })
})

describe('parseByteSize()', () => {
  it.each([
    ['1', 1],
    ['1k', 1024],
    ['1KB', 1024],
    ['2 MiB', 2_097_152],
    ['1.5g', 1_610_612_736],
    ['7b', 7],
    ['', null],
    ['k', null],
    ['-1', null],
    ['1.2.3', null],
    ['1kk', null],
  ])('reads %j as %j', (text, bytes) => {
    expect(parseByteSize(text)).toBe(bytes)
  })
})

describe('splitCsv()', () => {
  it.each<[string, readonly string[] | string]>([
    ['a,b', ['a', 'b']],
    ['', ['']],
    ['a,', ['a', '']],
    ['"a,b",c', ['a,b', 'c']],
    ['"a""b"', ['a"b']],
    ['a"b', 'bare " in non-quoted-field'],
    ['"a"b', 'extraneous or missing " in quoted-field'],
    ['"a', 'extraneous or missing " in quoted-field'],
  ])('splits %j', (line, fields) => {
    expect(splitCsv(line)).toEqual(fields)
  })
})
