import { goBooleans, keyValues } from '@tsbuild/command-line'
import { Option } from 'commander'
import { describe, expect, it } from 'vitest'
import { splitCsv } from './csv.ts'

const usage = expect.objectContaining({ code: 'ERR_USAGE' })

describe('splitCsv()', () => {
  it.each([
    ['a,b', ['a', 'b']],
    ['', ['']],
    ['a,', ['a', '']],
    ['"a,b",c', ['a,b', 'c']],
    ['"say ""hi"""', ['say "hi"']],
    ['"",x', ['', 'x']],
  ])('splits %j by RFC 4180', (line, fields) => {
    expect(splitCsv(line)).toEqual(fields)
  })

  it.each(['"a', 'a"b', '"a"b'])('refuses %j', (line) => {
    expect(() => splitCsv(line)).toThrow(usage)
  })
})

describe('goBooleans()', () => {
  const options = [
    new Option('--pull'),
    new Option('-q, --quiet'),
    new Option('--no-cache'),
    new Option('-t, --tag <name>'),
  ]

  it.each([
    [
      ['--pull=true', '.'],
      ['--pull', '.'],
    ],
    [
      ['--pull=0', '-q=T', '.'],
      ['-q', '.'],
    ],
    [['--no-cache=true'], ['--no-cache']],
    [['--pull=maybe'], ['--pull=maybe']],
    [
      ['-t=app:1', '.'],
      ['-t', 'app:1', '.'],
    ],
    [['--tag=a=b'], ['--tag=a=b']],
    [
      ['-t', '--pull=true'],
      ['-t', '--pull=true'],
    ],
    [
      ['--', '--pull=true'],
      ['--', '--pull=true'],
    ],
    [['--other=true'], ['--other=true']],
    [['-t'], ['-t']],
  ])('rewrites %j to %j', (argv, expected) => {
    expect(goBooleans(argv, options)).toEqual(expected)
  })
})

describe('keyValues()', () => {
  it('splits at the first =, takes the rest from the fallback and leaves out what that has not', () => {
    const fallback = (name: string) => (name === 'KNOWN' ? 'from outside' : undefined)
    expect(keyValues('--build-arg', ['A=1=2', 'KNOWN', 'UNKNOWN', 'B='], fallback)).toEqual({
      A: '1=2',
      KNOWN: 'from outside',
      B: '',
    })
  })

  it('keeps a name that objects have by themselves', () => {
    expect(Object.keys(keyValues('--label', ['__proto__=x'], () => ''))).toEqual(['__proto__'])
  })

  it('refuses an empty name', () => {
    expect(() => keyValues('--label', ['=x'], () => '')).toThrow(usage)
  })
})
