import { parseAge, parseSize } from '@tsbuild/command-line'
import { didYouMean, UserError } from '@tsbuild/errors'
import { isScope, type Operation, parseScope, type Scope, scopeParts, type TokenClaims } from '@tsbuild/trust'

/** Who signs and for whom: a token counts where the key does, and keys are of one server. */
export const tokenParties = { issuer: 'tsbuild-cache-server', audience: 'tsbuild-cache' } as const

/** What the flags of `token create` say. */
export interface TokenFlags {
  readonly scope?: string
  readonly read?: readonly string[]
  readonly ops?: string
  readonly ttl: string
  readonly repositories?: readonly string[]
  readonly pull?: readonly string[]
  readonly push?: readonly string[]
  readonly subject?: string
  readonly maxBytes?: string
}

const operations = ['pull', 'push', 'delete', 'admin'] as const
/** A token that leaks is of use for so long at most; who wants more has a reason to say it twice a year. */
const longestMs = 400 * 24 * 3_600_000

/**
 * The claims of a new token. Without `--read` it reads what it writes and the main branch of the same project; without `--ops` it may
 * pull, and push where it has something to push to.
 *
 * @throws {UserError} `ERR_USAGE` for what makes no sense, or permits nothing
 */
export function claimsOf(flags: TokenFlags, id: string): TokenClaims {
  const write = flags.scope === undefined ? undefined : scope('--scope', flags.scope)
  const read = flags.read === undefined ? chainOf(write) : flags.read.map((one) => scope('--read', one))
  const both = flags.repositories ?? []
  const repositories = {
    pull: [...both, ...(flags.pull ?? [])].map(pattern),
    push: [...both, ...(flags.push ?? [])].map(pattern),
  }
  const pushes = write !== undefined || repositories.push.length > 0
  const ops =
    flags.ops === undefined
      ? [...(pushes ? (['pull', 'push'] as const) : (['pull'] as const))]
      : parseOps(flags.ops)
  if (read.length === 0 && !pushes && repositories.pull.length === 0 && !ops.includes('admin'))
    throw new UserError('ERR_USAGE', 'Cannot make a token: it would permit nothing', {
      hints: [
        'Say what it writes with `--scope`, reads with `--read`, or which images with `--repositories`.',
      ],
    })
  const ttlMs = parseAge('--ttl', flags.ttl)
  if (ttlMs < 1000 || ttlMs > longestMs)
    throw new UserError('ERR_USAGE', `Cannot use value "${flags.ttl}" of --ttl: expected 1s to 400d`)
  return {
    ...tokenParties,
    subject: subjectOf(flags, write),
    read,
    write,
    operations: ops,
    repositories,
    maxBytes: flags.maxBytes === undefined ? undefined : parseSize('--max-bytes', flags.maxBytes),
    ttl: Math.floor(ttlMs / 1000),
    id,
  }
}

function subjectOf({ subject }: TokenFlags, write: Scope | undefined): string {
  if (subject === undefined) return `token:${write ?? 'reader'}`
  if (/^[\w.:/@+-]{1,128}$/.test(subject)) return `token:${subject}`
  throw new UserError(
    'ERR_USAGE',
    `Cannot use value "${subject}" of --subject: expected 1 to 128 of \`A-Za-z0-9_.:/@+-\``,
  )
}

/** What a branch reads besides itself. */
function chainOf(write: Scope | undefined): readonly Scope[] {
  if (write === undefined) return []
  const project = scopeParts(write)?.project
  const main = parseScope(`${project}:ref/main`)
  return write === main ? [write] : [write, main]
}

function scope(flag: string, text: string): Scope {
  if (isScope(text)) return text
  throw new UserError(
    'ERR_USAGE',
    `Cannot use value "${text}" of ${flag}: expected a scope such as \`acme/app:ref/main\``,
  )
}

function parseOps(text: string): readonly Operation[] {
  const words = text.split(',').map((word) => word.trim())
  return words.map((word) => {
    const found = operations.find((each) => each === word)
    if (found !== undefined) return found
    throw new UserError(
      'ERR_USAGE',
      `Cannot use value "${word}" of --ops: expected pull, push, delete or admin`,
      {
        hints: didYouMean(word, operations),
      },
    )
  })
}

/** `team/*`, `**`: components of repository names, or stars. */
function pattern(text: string): string {
  const isComponent = (part: string) =>
    part === '*' || part === '**' || /^[a-z0-9*]+([._-]+[a-z0-9*]+)*$/.test(part)
  if (text.length <= 255 && text.split('/').every(isComponent)) return text
  throw new UserError(
    'ERR_USAGE',
    `Cannot use pattern "${text}": expected repository names in which \`*\` is one component and \`**\` any number`,
  )
}
