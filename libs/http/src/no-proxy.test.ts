import { expect, it } from 'vitest'
import { isExcepted } from './no-proxy.ts'

it.each([
  ['https://a.example', 'a.example', true],
  ['https://b.a.example', 'a.example', true],
  ['https://ba.example', 'a.example', false],
  ['https://a.example', '.a.example', false],
  ['https://b.a.example', '.a.example', true],
  ['https://b.a.example', '*.a.example', true],
  ['https://A.Example.', 'a.EXAMPLE', true],
  ['https://a.example', 'x.example, a.example', true],
  ['https://a.example', '*', true],
  ['https://a.example', '', false],
  ['https://a.example:5000', 'a.example:5000', true],
  ['https://a.example', 'a.example:443', true],
  ['http://a.example', 'a.example:443', false],
  ['http://a.example', 'a.example:80', true],
  ['https://10.1.2.3', '10.0.0.0/8', true],
  ['https://11.1.2.3', '10.0.0.0/8', false],
  ['https://10.1.2.3', '10.1.2.3', true],
  ['https://10.1.2.3', '.2.3', false],
  ['https://10.1.2.3:5000', '10.1.2.3:5000', true],
  ['https://a.example', '10.0.0.0/8', false],
  ['https://[fd00::1]', 'fd00::/8', true],
  ['https://[fd00::1]:5000', '[fd00::1]:5000', true],
  ['https://[fd00::1]', 'fd00:0::1', true],
  ['https://[fd00::2]', 'fd00::1', false],
  ['https://10.1.2.3', '10.0.0.0/99,bad/8,//', false],
])('isExcepted(%s, %j) is %s', (url, noProxy, excepted) => {
  expect(isExcepted(new URL(url), noProxy)).toBe(excepted)
})
