import type { Native } from '@tsbuild/native'
import { describe, expect, it } from 'vitest'
import { fileStatement, fileSubjects } from './file-statement.ts'

const sha256 = 'a'.repeat(64)
const manifest = `tsbuild-content-v1
source dir
d 0755 0:0 /usr
f 0755 0:0 5 ${sha256} /usr/a
f 0755 0:0 5 ${sha256} x=security.capability=00 x=user.a=00 /usr/b%20c%25
f 0755 0:0 0 ${sha256} /%c3%a9
f 0755 0:0 0 ${sha256} /%ff
l 0777 0:0 a /link
c 0600 0:0 1:3 /null
`
const native = {
  scan: async () => ({ manifests: new Map([['sha256:x', Buffer.from(manifest)]]) }),
} as unknown as Native

describe('fileSubjects()', () => {
  it('fileSubjects() names every regular file, and nothing else', async () => {
    const root = { lower: [], upper: null, work: null }
    const subjects = await fileSubjects(native, root, new AbortController().signal)
    expect(subjects.map(({ name }) => name)).toEqual(['usr/a', 'usr/b c%', 'é', '\ufffd'])
    expect(subjects[0]?.digest).toEqual({ sha256 })
  })
})

describe('fileStatement()', () => {
  it('fileStatement() puts the predicate below the files', () => {
    const attestation = { predicateType: 'https://spdx.dev/Document', predicate: { a: 1 } }
    const subjects = [{ name: 'a', digest: { sha256 } }]
    expect(JSON.parse(Buffer.from(fileStatement(attestation, subjects)).toString())).toEqual({
      _type: 'https://in-toto.io/Statement/v0.1',
      predicateType: 'https://spdx.dev/Document',
      subject: subjects,
      predicate: { a: 1 },
    })
  })
})
