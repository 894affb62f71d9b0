import { Option } from 'commander'
import { describe, expect, it } from 'vitest'
import { goBooleans } from './go-booleans.ts'

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
