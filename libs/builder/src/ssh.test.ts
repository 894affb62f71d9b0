import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { BuildEvent } from '@tsbuild/events'
import { openSocketPath } from '@tsbuild/ssh-agent'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BuildRun } from './run-build.ts'
import { withSshAgents } from './ssh.ts'
import type { SshSource } from './types.ts'

let folder: string
let events: BuildEvent[]
beforeEach(() => {
  // As deep as a store in a home directory may be, and deeper.
  folder = join(mkdtempSync(join(tmpdir(), 'tsbuild-builder-ssh-')), 'deep'.repeat(30))
  mkdirSync(join(folder, 'scratch'), { recursive: true })
  events = []
})
afterEach(() => rmSync(join(folder, '..'), { recursive: true }))

const signal = new AbortController().signal

/** A run of which agents use nothing but this. */
function runWith(ssh: Readonly<Record<string, SshSource>>): Omit<BuildRun, 'ssh'> {
  const scratch = async () => mkdtempSync(join(folder, 'scratch', 's-'))
  const machine = { store: { sources: { scratch } }, now: () => 7 } as unknown as BuildRun['machine']
  const options = { context: '.', cwd: '/', ssh }
  return { machine, ref: 'ref', options, signal, events: (event) => void events.push(event) }
}

function keySource(): SshSource {
  const path = join(folder, 'key')
  const { privateKey } = generateKeyPairSync('ed25519')
  writeFileSync(path, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  return { kind: 'keys', paths: [path] }
}

describe('withSshAgents()', () => {
  it('serves each step a socket of its own, and no id that was not given', async () => {
    await withSshAgents(runWith({ one: keySource() }), async ({ ssh }) => {
      const [first, second] = [await ssh.forStep('one', signal), await ssh.forStep('one', signal)]
      expect(first?.socket).not.toBe(second?.socket)
      await first?.close()
      expect([first, second].map((served) => existsSync(served?.socket ?? ''))).toEqual([false, true])
      expect(await ssh.forStep('two', signal)).toBeUndefined()
      expect(ssh.forGit).toBeUndefined()
    })
  })

  it.each([
    ['ends', async () => {}],
    [
      'fails',
      async () => {
        throw new Error('on purpose')
      },
    ],
  ])('leaves no socket when the build %s', async (_how, end) => {
    const built = withSshAgents(runWith({ default: keySource() }), async ({ ssh }) => {
      await ssh.forStep('default', signal)
      expect(sockets()).toHaveLength(2)
      await end()
    })
    await built.catch((error: Error) => expect(error.message).toBe('on purpose'))
    expect(sockets()).toEqual([])
  })

  it('gives git the agent "default" by a path that every program can use', async () => {
    await withSshAgents(runWith({ default: keySource() }), async ({ ssh }) => {
      expect(Buffer.byteLength(ssh.forGit ?? '')).toBeLessThan(108)
      const program = `process.getBuiltinModule('net').connect(process.argv[1]).on('connect', function () { this.write(Buffer.from([0,0,0,1,11])) }).on('data', function (data) { console.log(data[4], data[8]); this.destroy() })`
      const { stdout } = await promisify(execFile)(process.execPath, ['-e', program, ssh.forGit ?? ''])
      expect(stdout).toBe('12 1\n')
    })
  })

  it('reads keys before anything is built', async () => {
    const source = { kind: 'keys', paths: [join(folder, 'absent')] } as const
    const built = withSshAgents(runWith({ default: source }), () => Promise.reject(new Error('built')))
    await expect(built).rejects.toThrow(expect.objectContaining({ code: 'ERR_SSH' }))
  })

  it('warns once of an agent that is gone', async () => {
    const source = { kind: 'agent', socket: join(folder, 'gone') } as const
    await withSshAgents(runWith({ default: source, other: source }), async ({ ssh }) => {
      for (let step = 0; step < 2; step++) {
        const served = await ssh.forStep('other', signal)
        const place = await openSocketPath(served?.socket ?? '')
        const client = connect(place.path)
        await once(client, 'connect')
        await place.close()
        client.write(Buffer.of(0, 0, 0, 1, 11))
        expect((await once(client, 'data'))[0]).toEqual(Buffer.of(0, 0, 0, 1, 5))
        client.destroy()
      }
    })
    expect(events).toEqual([
      {
        type: 'warning',
        rule: 'SshAgent',
        message: expect.stringMatching(/^The ssh agent "other" does not answer, .*ENOENT/),
        source: null,
        at: 7,
      },
    ])
  })
})

function sockets(): readonly string[] {
  return readdirSync(join(folder, 'scratch'), { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('/agent'))
}
