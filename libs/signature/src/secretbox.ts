import { randomBytes, type ScryptOptions, scrypt } from 'node:crypto'
import { count, exactly, oneOf, parseJson, text } from '@tsbuild/shape'

/** Costs as cosign has them: 64 MiB for each guess. */
const costs = { N: 65_536, r: 8, p: 1 }
/** What a key file may ask for at most. */
const mostMemoryBytes = 1024 ** 3
const mostRounds = 16

const keyBytes = 32
const nonceBytes = 24
const saltBytes = 32

interface Box {
  readonly kdf: { readonly name: 'scrypt'; readonly params: typeof costs; readonly salt: string }
  readonly cipher: { readonly name: 'nacl/secretbox'; readonly nonce: string }
  readonly ciphertext: string
}

const boxShape = exactly({
  kdf: exactly({ name: oneOf('scrypt'), params: exactly({ N: count, r: count, p: count }), salt: text }),
  cipher: exactly({ name: oneOf('nacl/secretbox'), nonce: text }),
  ciphertext: text,
})

/** Encrypts with a password: the JSON of go-securesystemslib's `encrypted`, as cosign keeps its keys. */
export async function sealWithPassword(plain: Uint8Array, password: string): Promise<Buffer> {
  const salt = randomBytes(saltBytes)
  const nonce = randomBytes(nonceBytes)
  const cipher = await secretbox(await derive(password, salt, costs), nonce)
  const box: Box = {
    kdf: { name: 'scrypt', params: costs, salt: salt.toString('base64') },
    cipher: { name: 'nacl/secretbox', nonce: nonce.toString('base64') },
    ciphertext: Buffer.from(cipher.encrypt(plain)).toString('base64'),
  }
  return Buffer.from(JSON.stringify(box))
}

/**
 * Decrypts what {@link sealWithPassword} or cosign has made.
 *
 * @returns `malformed` for what is none, and for costs beyond 1 GiB; `wrong` where the password does not fit
 */
export async function openWithPassword(
  sealed: Uint8Array,
  password: string,
): Promise<Buffer | 'malformed' | 'wrong'> {
  const box = parseJson(Buffer.from(sealed).toString())
  if (!boxShape(box)) return 'malformed'
  const { kdf, cipher, ciphertext } = box as Box
  const { N, r, p } = kdf.params
  const bearable = N > 1 && (N & (N - 1)) === 0 && r > 0 && p > 0 && p <= mostRounds
  const nonce = Buffer.from(cipher.nonce, 'base64')
  if (!bearable || 128 * N * r > mostMemoryBytes || nonce.length !== nonceBytes) return 'malformed'
  const key = await derive(password, Buffer.from(kdf.salt, 'base64'), kdf.params)
  const opened = await secretbox(key, nonce)
  try {
    return Buffer.from(opened.decrypt(Buffer.from(ciphertext, 'base64')))
  } catch {
    return 'wrong'
  }
}

function derive(password: string, salt: Uint8Array, params: typeof costs): Promise<Buffer> {
  // Node counts a little more than the block itself.
  const options: ScryptOptions = { ...params, maxmem: 2 * 128 * params.N * params.r + 1024 ** 2 }
  return new Promise((resolve, reject) =>
    scrypt(password, salt, keyBytes, options, (error, key) =>
      error === null ? resolve(key) : reject(error),
    ),
  )
}

/** Loaded where an encrypted key is met: XSalsa20 is not in Node's own crypto. */
async function secretbox(key: Uint8Array, nonce: Uint8Array) {
  const { xsalsa20poly1305 } = await import('@noble/ciphers/salsa.js')
  return xsalsa20poly1305(key, nonce)
}
