import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { listFiles, readText } from '../support/repository.ts'

const script = readText('scripts/setup.sh')

/** Of packages that every Debian has: util-linux, mount, perl-base. */
const essential = ['mount', 'perl', 'setpriv', 'unshare']
/** By another package's program, which stands for all of its own. */
const siblings: Readonly<Record<string, string>> = { 'ssh-add': 'ssh-agent' }

/** The programs whose absence skips a test. */
function findNeeded(): readonly string[] {
  const tests = listFiles().filter((path) => path.endsWith('.test.ts'))
  const names = tests.flatMap((path) =>
    [...readText(path).matchAll(/'program ([\w.-]+)'/g)].map((match) => match[1] ?? ''),
  )
  return [...new Set(names)].sort()
}

describe('scripts/setup.sh', () => {
  it('gets every program without which a test is skipped: in CI a skip is a failure', () => {
    const table = [...script.matchAll(/\[([\w.-]+)\]=([\w.-]+)/g)].map((match) => match.slice(1))
    const packageOf = new Map(table.map(([name = '', program = '']) => [program, name]))
    const wanted = script.slice(script.indexOf('wanted_packages() {'), script.indexOf('missing_packages() {'))
    const words = new Set(wanted.match(/[\w.-]+/g))
    const unpacked = /local program=(\S+)/.exec(script)?.[1]
    const isGot = (program: string) =>
      program === unpacked || words.has(packageOf.get(siblings[program] ?? program) ?? '')
    expect(findNeeded().filter((program) => !essential.includes(program) && !isGot(program))).toEqual([])
    expect(findNeeded()).toContain('sshd')
  })

  it('leaves no server on that a package would start', () => {
    const servers = ['openssh-server', 'docker.io', 'docker-registry', 'nginx']
    const table = script.slice(script.indexOf('services_of=('))
    for (const name of servers) expect(table).toContain(`[${name}]='`)
  })

  it('is a script that bash can read', () => {
    execFileSync('bash', ['-n'], { input: script })
  })
})
