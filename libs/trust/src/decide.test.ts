import { describe, expect, it } from 'vitest'
import {
  decide,
  type Grant,
  localScope,
  loopbackGrant,
  type Needs,
  nobody,
  parseScope,
  permissions,
  publicGrant,
  repositoryOfScope,
  type Target,
} from './index.ts'

const [main, pr7, pr8] = ['ref/main', 'pr/7', 'pr/8'].map((name) => parseScope(`acme/app:${name}`)) as [
  Grant['read'][number],
  Grant['read'][number],
  Grant['read'][number],
]
/** The grant of the job of a pull request. */
const request: Grant = {
  ...nobody,
  authenticated: true,
  read: [pr7, main],
  write: pr7,
  operations: ['pull', 'push'],
  repositories: { pull: ['acme/**'], push: ['acme/app'] },
}
const reader: Grant = { ...request, operations: ['pull'] }
const pusher: Grant = { ...request, operations: ['push'] }
const cleaner: Grant = { ...request, operations: ['pull', 'push', 'delete'] }
const admin: Grant = { ...request, operations: ['admin'] }
const idle: Grant = { ...request, operations: [] }
const anybody = publicGrant([main], ['acme/**'])

const targets: Readonly<Record<string, Target>> = {
  server: { kind: 'server' },
  'own scope': { kind: 'scope', scope: pr7 },
  'own repository': { kind: 'repository', name: repositoryOfScope(pr7) },
  main: { kind: 'scope', scope: main },
  'repository of main': { kind: 'repository', name: repositoryOfScope(main) },
  'other request': { kind: 'scope', scope: pr8 },
  'stray repository': { kind: 'repository', name: 'cache/acme/app__ref/z6dain' },
  'root of scopes': { kind: 'repository', name: 'cache' },
  'image pushed to': { kind: 'repository', name: 'acme/app' },
  'image pulled': { kind: 'repository', name: 'acme/other/x' },
  'image of others': { kind: 'repository', name: 'evil/app' },
}
const letters = { allowed: 'a', unauthenticated: 'u', hidden: 'h', forbidden: 'f' }

/** In the order pull, push, delete, admin, any. */
function rowOf(grant: Grant, target: Target): string {
  const needs: readonly Needs[] = ['pull', 'push', 'delete', 'admin', 'any']
  return needs.map((need) => letters[decide(grant, need, target)]).join('')
}

describe('decide()', () => {
  it.each<[string, Grant, Readonly<Record<string, string>>]>([
    [
      'a pull request',
      request,
      {
        server: 'aaffa',
        'own scope': 'aaffa',
        'own repository': 'aaffa',
        main: 'afffa',
        'repository of main': 'afffa',
        'other request': 'hfffa',
        'stray repository': 'hfffa',
        'root of scopes': 'hfffa',
        'image pushed to': 'aaffa',
        'image pulled': 'afffa',
        'image of others': 'hfffa',
      },
    ],
    [
      'who may only pull',
      reader,
      {
        server: 'afffa',
        'own scope': 'afffa',
        'own repository': 'afffa',
        main: 'afffa',
        'repository of main': 'afffa',
        'other request': 'hfffa',
        'stray repository': 'hfffa',
        'root of scopes': 'hfffa',
        'image pushed to': 'afffa',
        'image pulled': 'afffa',
        'image of others': 'hfffa',
      },
    ],
    [
      'who may only push',
      pusher,
      {
        server: 'faffa',
        'own scope': 'faffa',
        'own repository': 'faffa',
        main: 'ffffa',
        'repository of main': 'ffffa',
        'other request': 'ffffa',
        'stray repository': 'ffffa',
        'root of scopes': 'ffffa',
        'image pushed to': 'faffa',
        'image pulled': 'ffffa',
        'image of others': 'ffffa',
      },
    ],
    [
      'who may delete',
      cleaner,
      {
        server: 'aaafa',
        'own scope': 'aaafa',
        'own repository': 'aaafa',
        main: 'afffa',
        'repository of main': 'afffa',
        'other request': 'hfffa',
        'stray repository': 'hfffa',
        'root of scopes': 'hfffa',
        'image pushed to': 'aaafa',
        'image pulled': 'afffa',
        'image of others': 'hfffa',
      },
    ],
    ['who has nothing', idle, Object.fromEntries(Object.keys(targets).map((name) => [name, 'ffffa']))],
    ['nobody', nobody, Object.fromEntries(Object.keys(targets).map((name) => [name, 'uuuuu']))],
    [
      'anybody, with --public-read',
      anybody,
      {
        server: 'auuua',
        'own scope': 'uuuua',
        'own repository': 'uuuua',
        main: 'auuua',
        'repository of main': 'auuua',
        'other request': 'uuuua',
        'stray repository': 'uuuua',
        'root of scopes': 'uuuua',
        'image pushed to': 'auuua',
        'image pulled': 'auuua',
        'image of others': 'uuuua',
      },
    ],
    [
      'whoever looks after the server',
      admin,
      {
        ...Object.fromEntries(Object.keys(targets).map((name) => [name, 'fffaa'])),
        'stray repository': 'ffffa',
        'root of scopes': 'ffffa',
      },
    ],
  ])('%s', (_, grant, wanted) => {
    expect(
      Object.fromEntries(Object.entries(targets).map(([name, target]) => [name, rowOf(grant, target)])),
    ).toEqual(wanted)
  })

  it('lets everybody on loopback do everything in one scope', () => {
    expect(rowOf(loopbackGrant, { kind: 'scope', scope: localScope })).toBe('aaaaa')
    expect(rowOf(loopbackGrant, { kind: 'repository', name: repositoryOfScope(localScope) })).toBe('aaaaa')
    expect(rowOf(loopbackGrant, { kind: 'repository', name: 'any/image' })).toBe('aaaaa')
    expect(decide(loopbackGrant, 'push', { kind: 'scope', scope: main })).not.toBe('allowed')
  })

  it('asks nothing where nothing is needed', () => {
    for (const target of Object.values(targets)) expect(decide(nobody, 'public', target)).toBe('allowed')
  })

  it('has patterns of images reach no scope, however wide they are', () => {
    const wide: Grant = { ...cleaner, repositories: { pull: ['**', 'cache/**'], push: ['**', 'cache/**'] } }
    expect(rowOf(wide, { kind: 'repository', name: repositoryOfScope(pr8) })).toBe('hfffa')
    expect(rowOf(wide, { kind: 'repository', name: 'cache/stray' })).toBe('hfffa')
    expect(rowOf(wide, { kind: 'repository', name: 'cached' })).toBe('aaafa')
  })

  it('has a rule for each operation on each kind of thing', () => {
    for (const rules of Object.values(permissions))
      expect(Object.keys(rules).sort()).toEqual(['admin', 'delete', 'pull', 'push'])
  })
})
