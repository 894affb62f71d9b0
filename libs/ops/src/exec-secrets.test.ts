import { describe, expect, it } from 'vitest'
import { readSecrets, type SecretMount, secretFile } from './exec-secrets.ts'

const mount: SecretMount = {
  kind: 'secret',
  id: 'token',
  target: '/run/secrets/token',
  env: undefined,
  required: false,
  mode: 0o400,
  uid: 0,
  gid: 0,
}

function given(values: Readonly<Record<string, string | Buffer>>) {
  const asked: string[] = []
  const secrets = async (id: string) => {
    asked.push(id)
    const value = values[id]
    return value === undefined ? undefined : Buffer.from(value)
  }
  return { secrets, asked }
}

describe('readSecrets()', () => {
  it('readSecrets() reads each secret once, and only what is mounted', async () => {
    const { secrets, asked } = given({ token: 'value', other: 'x' })
    const both = [mount, { ...mount, target: undefined, env: 'TOKEN' }, { ...mount, id: 'absent' }]
    const read = await readSecrets([...both, { ...mount, id: 'absent', target: '/b' }], { secrets })
    expect(asked).toEqual(['token', 'absent'])
    expect([...read.values].map(([id, value]) => [id, String(value)])).toEqual([['token', 'value']])
    expect(read.env).toEqual(['TOKEN=value'])
  })

  it('readSecrets() makes no variable of a secret that is neither given nor required', async () => {
    expect((await readSecrets([{ ...mount, env: 'TOKEN' }], given({}))).env).toEqual([])
  })

  it('readSecrets() makes an empty variable of an empty secret, and keeps line ends', async () => {
    const read = await readSecrets(
      [
        { ...mount, env: 'A' },
        { ...mount, id: 'line', env: 'B' },
      ],
      given({ token: '', line: 'x\n' }),
    )
    expect(read.env).toEqual(['A=', 'B=x\n'])
  })

  it('readSecrets() rejects where a required secret is not found', async () => {
    await expect(readSecrets([{ ...mount, required: true }], given({}))).rejects.toMatchObject({
      code: 'ERR_SECRET',
      kind: 'user',
      message: 'Cannot run a step without its secret: secret token: not found',
      hints: ['Give it with `--secret id=token,src=FILE` or `--secret id=token,env=NAME`.'],
    })
  })

  it('readSecrets() takes 500 KiB, and refuses more without showing it', async () => {
    const largest = given({ token: Buffer.alloc(500 * 1024) })
    expect((await readSecrets([mount], largest)).values.get('token')).toHaveLength(512_000)
    const error = readSecrets([mount], given({ token: Buffer.alloc(500 * 1024 + 1, 'x') }))
    await expect(error).rejects.toMatchObject({
      code: 'ERR_SECRET',
      message: 'Cannot use secret "token": it has 512001 bytes, at most 512000 are possible',
    })
  })

  it.each(['', '1A', 'A-B', 'A B', 'A=B', 'Ä', 'A\n'])(
    'readSecrets() refuses the variable %j',
    async (env) => {
      await expect(readSecrets([{ ...mount, env }], given({ token: 'v4lue' }))).rejects.toMatchObject({
        code: 'ERR_SECRET',
        message: expect.not.stringContaining('v4lue'),
      })
    },
  )

  it.each(['LD_PRELOAD', 'PATH', '_', 'a1'])(
    'readSecrets() gives the step the variable %s: it is not ours',
    async (env) => {
      expect((await readSecrets([{ ...mount, env }], given({ token: 'v' }))).env).toEqual([`${env}=v`])
    },
  )

  it('readSecrets() takes as a variable what the kernel takes, and refuses more', async () => {
    const most = 128 * 1024 - 'A='.length - 1
    const env = { ...mount, env: 'A' }
    expect((await readSecrets([env], given({ token: 'x'.repeat(most) }))).env[0]).toHaveLength(most + 2)
    await expect(readSecrets([env], given({ token: 'x'.repeat(most + 1) }))).rejects.toMatchObject({
      code: 'ERR_SECRET',
      message: 'Cannot use secret "token" as variable "A": it has 131070 bytes, too many for a variable',
    })
  })

  it.each([
    ['a NUL byte', Buffer.from('v4lue\0')],
    ['bytes that are no UTF-8', Buffer.from([0xff, 0xfe])],
  ])('readSecrets() refuses %s as a variable, and takes them as a file', async (_, token) => {
    const read = await readSecrets([mount], given({ token }))
    expect(secretFile(mount, read)).toMatchObject({ data: token.toString('base64') })
    await expect(readSecrets([{ ...mount, env: 'A' }], given({ token }))).rejects.toMatchObject({
      code: 'ERR_SECRET',
      message: expect.not.stringContaining('v4lue'),
    })
  })
})

describe('secretFile()', () => {
  it('secretFile() gives the bytes, mode and owner', async () => {
    const made = { ...mount, mode: 0o440, uid: 1000, gid: 50 }
    expect(secretFile(made, await readSecrets([made], given({ token: 'value' })))).toEqual({
      kind: 'secret',
      target: '/run/secrets/token',
      data: Buffer.from('value').toString('base64'),
      mode: 0o440,
      uid: 1000,
      gid: 50,
    })
  })

  it('secretFile() makes none for a variable alone, and none for a secret that is not given', async () => {
    const read = await readSecrets([mount], given({ token: 'value' }))
    expect(secretFile({ ...mount, target: undefined, env: 'A' }, read)).toBeUndefined()
    expect(secretFile({ ...mount, id: 'absent' }, read)).toBeUndefined()
  })

  it('secretFile() makes an empty file of an empty secret', async () => {
    expect(secretFile(mount, await readSecrets([mount], given({ token: '' })))).toMatchObject({ data: '' })
  })
})
