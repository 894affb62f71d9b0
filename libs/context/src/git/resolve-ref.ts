import { isGitRefName } from '@tsbuild/dockerfile'
import type { RemoteAccess } from './credentials.ts'
import { refNotFound } from './failures.ts'
import type { Git } from './git.ts'

/** What a ref of a remote is. */
export type ResolvedRef =
  | {
      /** The object it points to: a commit, or an annotated tag. */
      readonly object: string
      readonly commit: string
      /** `refs/heads/main`; undefined for a HEAD that is no branch. */
      readonly name: string | undefined
    }
  | {
      /** It has to be fetched to see which commit it is. Undefined for an abbreviated commit that no ref has. */
      readonly object: string | undefined
      readonly commit: undefined
      /** How many hex digits the ids of this remote have. */
      readonly idLength: number
      readonly name: undefined
    }

/** Whether a text is a whole object id, of sha1 or sha256. */
export function isObjectId(text: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text)
}

/**
 * Asks a remote what a ref is. A short name is looked for as `refs/<name>`, then as a branch, then as a tag; what is none of
 * them and hex may be an abbreviated commit.
 *
 * @param ref empty is HEAD; no whole object id
 * @throws {UserError} `ERR_GIT_REF_NOT_FOUND`
 * @throws {GitFailure} if the remote does not answer as it should
 */
export async function resolveRef(git: Git, access: RemoteAccess, ref: string): Promise<ResolvedRef> {
  const { remote } = access.remote
  if (ref === '') return resolveHead(git, access)
  const mayBeCommit = /^[0-9a-f]{7,63}$/.test(ref)
  const patterns = mayBeCommit ? [] : [ref, `${ref}^{}`]
  const refs = parseRefs(await git({ args: ['ls-remote', '--quiet', '--', remote, ...patterns], access }))
  for (const name of [ref, `refs/${ref}`, `refs/heads/${ref}`, `refs/tags/${ref}`]) {
    const object = name.startsWith('refs/') || name === 'HEAD' ? refs.get(name) : undefined
    if (object === undefined) continue
    return { object, commit: refs.get(`${name}^{}`) ?? object, name: name === 'HEAD' ? undefined : name }
  }
  if (!mayBeCommit) throw refNotFound(ref, remote)
  const ids = [...refs.values()]
  const [first] = ids
  if (first === undefined) throw refNotFound(ref, remote, ['Is the repository empty?'])
  const object = ids.find((id) => id.startsWith(ref))
  return { object, commit: undefined, idLength: first.length, name: undefined }
}

async function resolveHead(git: Git, access: RemoteAccess): Promise<ResolvedRef> {
  const { remote } = access.remote
  const output = await git({ args: ['ls-remote', '--quiet', '--symref', '--', remote, 'HEAD'], access })
  const object = parseRefs(output).get('HEAD')
  if (object === undefined) throw refNotFound('HEAD', remote, ['Is the repository empty?'])
  // A remote may call its branch anything; what is no proper name is not used as one.
  const name = /^ref: (\S+)\tHEAD$/m.exec(output)?.[1]
  const proper = name?.startsWith('refs/') && isGitRefName(name) ? name : undefined
  return { object, commit: object, name: proper }
}

function parseRefs(output: string): ReadonlyMap<string, string> {
  const refs = new Map<string, string>()
  for (const line of output.split('\n')) {
    const [id = '', name] = line.split('\t')
    if (name !== undefined && isObjectId(id)) refs.set(name, id)
  }
  return refs
}
