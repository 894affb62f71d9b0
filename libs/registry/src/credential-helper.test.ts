import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { askCredentialHelper, tellCredentialHelper } from './credential-helper.ts'

const directory = mkdtempSync(join(tmpdir(), 'tsbuild-helper-'))
const path = process.env.PATH
beforeAll(() => {
  process.env.PATH = `${directory}${delimiter}${path}`
})
afterAll(() => {
  process.env.PATH = path
  rmSync(directory, { recursive: true })
})

function install(name: string, script: string): string {
  writeFileSync(join(directory, `docker-credential-${name}`), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  return name
}

describe('askCredentialHelper()', () => {
  it('sends the address on standard input and reads user name and secret', async () => {
    const script = 'read server; printf \'{"ServerURL":"x","Username":"%s %s","Secret":"s"}\' "$1" "$server"'
    expect(await askCredentialHelper(install('echo', script), 'a.io')).toEqual({
      type: 'basic',
      username: 'get a.io',
      password: 's',
    })
  })

  it('takes the user name <token> for an identity token', async () => {
    const helper = install('token', 'echo \'{"Username":"<token>","Secret":"t"}\'')
    expect(await askCredentialHelper(helper, 'a.io')).toEqual({ type: 'identityToken', token: 't' })
  })

  it('knows when the helper knows nothing', async () => {
    const helper = install('empty', 'echo "credentials not found in native keychain"; exit 1')
    expect(await askCredentialHelper(helper, 'a.io')).toBeUndefined()
  })

  it.each([
    ['fails', 'echo hunter22; exit 2'],
    ['says no JSON', 'echo hunter22'],
    ['leaves the secret out', 'echo \'{"Username":"hunter22"}\''],
    ['talks without end', 'yes hunter22'],
    ['is silent, and leaves a child behind', 'sleep 3 & exec sleep 3'],
  ])('refuses a helper that %s, without showing what it said', async (name, script) => {
    const helper = install(name.replaceAll(/[^a-z]/g, '-'), script)
    const error: unknown = await askCredentialHelper(helper, 'a.io', 500).catch((reason) => reason)
    expect(error).toMatchObject({ code: 'ERR_REGISTRY_AUTH' })
    expect(String(error)).not.toContain('hunter22')
  })
})

describe('tellCredentialHelper()', () => {
  const kept = join(directory, 'kept')
  const script = `case "$1" in
store) cat > '${kept}' ;;
erase) cat > '${kept}'; echo "credentials not found in native keychain"; exit 1 ;;
esac`

  it('hands credentials over on standard input, and nothing on the command line', async () => {
    const helper = install('keep', `${script}\ntest $# = 1`)
    await tellCredentialHelper(helper, 'a.io', { type: 'basic', username: 'me', password: 'p' })
    expect(JSON.parse(readFileSync(kept, 'utf8'))).toEqual({ ServerURL: 'a.io', Username: 'me', Secret: 'p' })
    await tellCredentialHelper(helper, 'a.io', { type: 'identityToken', token: 't' })
    expect(JSON.parse(readFileSync(kept, 'utf8'))).toEqual({
      ServerURL: 'a.io',
      Username: '<token>',
      Secret: 't',
    })
  })

  it('forgets, also what the helper did not know', async () => {
    await tellCredentialHelper(install('forget', script), 'a.io', undefined)
    expect(readFileSync(kept, 'utf8')).toBe('a.io\n')
  })

  it.each(['../../bin/sh', '/bin/sh', 'a b', '-x'])('refuses the helper name %j (REG-09)', async (helper) => {
    await expect(tellCredentialHelper(helper, 'a.io', undefined)).rejects.toMatchObject({
      code: 'ERR_CONFIG',
    })
  })

  it('waits for no helper without end', async () => {
    const outcome = tellCredentialHelper(install('stuck', 'exec sleep 3'), 'a.io', undefined, 200)
    await expect(outcome).rejects.toMatchObject({
      code: 'ERR_REGISTRY_AUTH',
      message: expect.stringContaining('200 ms'),
    })
  })
})
