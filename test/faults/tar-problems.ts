import { readFileSync, statSync } from 'node:fs'
import { run } from '../support/tsbuild.ts'

/** What is wrong with an archive that has its final name: it must be whole, and the blobs of an OCI layout what they say. */
export async function tarProblems(path: string): Promise<readonly string[]> {
  const listed = await run('tar', ['-tf', path])
  if (listed.code !== 0) return [`${path} is no whole tar: ${listed.stderr}`]
  // Two blocks of zeros end a tar; without them it may have been cut between two files.
  const end = readFileSync(path).subarray(statSync(path).size - 1024)
  if (end.some((byte) => byte !== 0)) return [`${path} has no end`]
  const blobs = listed.stdout.split('\n').filter((name) => /^blobs\/sha256\/[0-9a-f]{64}$/.test(name))
  const wrong: string[] = []
  for (const blob of blobs) {
    const hash = await run('sh', ['-c', 'tar -xOf "$1" "$2" | sha256sum', 'sh', path, blob])
    if (!hash.stdout.startsWith(blob.slice('blobs/sha256/'.length))) wrong.push(`${path} has another ${blob}`)
  }
  return wrong
}
