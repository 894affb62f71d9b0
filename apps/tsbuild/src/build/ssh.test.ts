import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseSsh } from './ssh.ts'

let cwd: string
let server: Server
beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'tsbuild-ssh-flag-'))
  for (const name of ['key', 'key2', 'a=b']) writeFileSync(join(cwd, name), name)
  mkdirSync(join(cwd, 'folder'))
  server = createServer()
  await new Promise<void>((resolve) => server.listen(join(cwd, 'agent'), resolve))
})
afterAll(() => {
  server.close()
  rmSync(cwd, { recursive: true })
})

const parse = (given: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  parseSsh(given, { env, cwd })
const agent = () => ({ kind: 'agent', socket: join(cwd, 'agent') })
const keys = (...names: readonly string[]) => ({ kind: 'keys', paths: names.map((name) => join(cwd, name)) })

describe('parseSsh()', () => {
  it.each([
    [['default'], () => ({ default: agent() })],
    [['default='], () => ({ default: agent() })],
    [['github'], () => ({ github: agent() })],
    [['x=agent'], () => ({ x: agent() })],
    [['x=agent,raw=false'], () => ({ x: agent() })],
    [['x=key'], () => ({ x: keys('key') })],
    [['x=key,key2'], () => ({ x: keys('key', 'key2') })],
    [['x=a=b'], () => ({ x: keys('a=b') })],
    [['default', 'x=key'], () => ({ default: agent(), x: keys('key') })],
    [[], () => ({})],
  ] as const)('reads %j', (given, expected) => {
    expect(parse(given, { SSH_AUTH_SOCK: join(cwd, 'agent') })).toEqual(expected())
  })

  it.each([
    [[''], 'ERR_USAGE', 'it has no id'],
    [['=key'], 'ERR_USAGE', 'it has no id'],
    [['x=key,'], 'ERR_USAGE', 'a path is empty'],
    [['x=key,agent'], 'ERR_USAGE', 'is a socket, which stands alone'],
    [['x=agent,agent'], 'ERR_USAGE', 'is a socket, which stands alone'],
    [['x=key', 'x=key2'], 'ERR_USAGE', 'the id "x" is given twice'],
    [['x=agent,raw=true'], 'ERR_UNSUPPORTED', 'sockets of ssh agents only'],
    [['x=agent,raw=2'], 'ERR_USAGE', 'expected raw=true or raw=false'],
    [['x=absent'], 'ERR_SSH', 'there is no "'],
    [['x=key,absent'], 'ERR_SSH', 'there is no "'],
    [['x=folder'], 'ERR_SSH', 'is a directory'],
    [['x=/dev/null'], 'ERR_SSH', 'is neither a key file nor a socket'],
    [['default'], 'ERR_SSH', 'SSH_AUTH_SOCK is not set'],
  ] as const)('refuses %j with %s', (given, code, why) => {
    expect(() => parse(given)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(why), kind: 'user' }),
    )
  })

  it.each([
    ['gone', 'there is no "'],
    ['key', 'which is no socket'],
  ])('refuses default where SSH_AUTH_SOCK names %s', (name, why) => {
    expect(() => parse(['default'], { SSH_AUTH_SOCK: join(cwd, name) })).toThrow(why)
  })

  it.each([
    [['default'], 'ssh-agent'],
    [['x=~/.ssh/id_rsa'], '$HOME'],
  ])('has a hint for %j', (given, hint) => {
    expect(() => parse(given)).toThrow(expect.objectContaining({ hints: [expect.stringContaining(hint)] }))
  })
})
