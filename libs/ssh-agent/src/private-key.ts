import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { UserError } from '@tsbuild/errors'
import { parseOpensshKey } from './openssh-key.ts'
import { type SigningKey, signingKey } from './signing-key.ts'
import { MalformedMessage } from './wire.ts'

/**
 * Reads a private key file: OpenSSH's own form, or PEM as OpenSSL writes it; Ed25519, ECDSA over a NIST curve, or RSA.
 *
 * @param path what messages call it
 * @throws {UserError} `ERR_SSH` if it is none, or has a passphrase
 */
export function parsePrivateKey(path: string, bytes: Buffer): SigningKey {
  const refuse = (why: string, hints: readonly string[] = [], cause?: unknown): never => {
    throw new UserError('ERR_SSH', `Cannot use the ssh key "${path}": ${why}`, { hints, cause })
  }
  const key = readKey(bytes.toString('latin1'), refuse)
  const signing =
    signingKey(key) ??
    refuse(`it is of the kind "${key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType}"`, [
      kindsHint,
    ])
  assertConsistent(key, refuse)
  return signing
}

type Refuse = (why: string, hints?: readonly string[], cause?: unknown) => never

const agentHint = 'Add it to an agent with `ssh-add`, and use `--ssh default`.'
const kindsHint = 'Ed25519, ECDSA over a NIST curve, and RSA are read.'

function readKey(text: string, refuse: Refuse): KeyObject {
  const [, label = ''] = /-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----/.exec(text) ?? []
  if (label === 'OPENSSH PRIVATE KEY') return readOpenssh(text, refuse)
  if (label === 'ENCRYPTED PRIVATE KEY' || (label !== '' && /^Proc-Type: 4,ENCRYPTED/m.test(text)))
    return refuse('it has a passphrase', [agentHint])
  if (label === '') {
    if (/^(?:ssh|ecdsa|sk)-[\w@.-]+ /.test(text))
      return refuse('it is a public key', ['Name the private one, beside it without `.pub`.'])
    if (text.startsWith('PuTTY-User-Key-File'))
      return refuse('it is a key of PuTTY', ['`puttygen KEY -O private-openssh -o NEW` converts it.'])
    return refuse('it holds no private key')
  }
  try {
    return createPrivateKey(text)
  } catch (cause) {
    return refuse('its PEM cannot be read', [kindsHint], cause)
  }
}

function readOpenssh(text: string, refuse: Refuse): KeyObject {
  const [, body = ''] = /KEY-----([\sA-Za-z0-9+/=]+)-----END OPENSSH PRIVATE KEY-----/.exec(text) ?? []
  try {
    const found = parseOpensshKey(Buffer.from(body, 'base64'))
    if (found.kind === 'encrypted') return refuse('it has a passphrase', [agentHint])
    if (found.kind === 'unsupported')
      return refuse(`it is of the kind "${found.type}"`, [kindsHint, agentHint])
    return found.key
  } catch (cause) {
    if (!(cause instanceof MalformedMessage)) throw cause
    return refuse(cause.message, [], cause)
  }
}

/** A damaged key may sign what nobody can verify, and an RSA key give itself away by that. */
function assertConsistent(key: KeyObject, refuse: Refuse): void {
  const probe = Buffer.from('probe')
  const digest = key.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  try {
    if (verify(digest, probe, createPublicKey(key), sign(digest, probe, key))) return
  } catch (cause) {
    refuse('it cannot sign', [], cause)
  }
  refuse('its parts contradict each other')
}
