import { type Stats, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { SshSource } from '@tsbuild/builder'
import { UserError } from '@tsbuild/errors'
import type { Host } from '../host.ts'

/**
 * Reads the values of `--ssh`: `ID`, the agent of SSH_AUTH_SOCK; `ID=SOCKET`, another agent; or `ID=KEY[,KEY]`, private keys.
 * What is named must be there; keys are read when the build starts.
 *
 * @throws {UserError} `ERR_USAGE` for a malformed value or an id given twice; `ERR_SSH` for what is not there; `ERR_UNSUPPORTED`
 *   for sockets that are no agent's (`raw=true`)
 * @see spec/interface.md 4.1
 */
export function parseSsh(
  given: readonly string[],
  host: Pick<Host, 'env' | 'cwd'>,
): Readonly<Record<string, SshSource>> {
  const sources = new Map<string, SshSource>()
  for (const text of given) {
    const { id, paths } = parseSpec(text)
    if (sources.has(id)) throw invalid(text, `the id "${id}" is given twice`)
    sources.set(id, paths.length === 0 ? userAgent(text, host) : sourceOf(text, paths, host))
  }
  return Object.fromEntries(sources)
}

function parseSpec(text: string): { readonly id: string; readonly paths: readonly string[] } {
  const equals = text.indexOf('=')
  const id = equals < 0 ? text : text.slice(0, equals)
  if (id === '') throw invalid(text, 'it has no id')
  const fields = equals < 0 || equals === text.length - 1 ? [] : text.slice(equals + 1).split(',')
  const paths = fields.filter((field) => field !== 'raw=false')
  const raw = paths.find((field) => field.startsWith('raw='))
  if (raw === 'raw=true')
    throw new UserError(
      'ERR_UNSUPPORTED',
      `Cannot use --ssh "${text}": steps get sockets of ssh agents only`,
      {
        hints: ['Without `raw=true` the socket is used as an agent.'],
      },
    )
  if (raw !== undefined) throw invalid(text, `expected raw=true or raw=false, found "${raw}"`)
  if (paths.includes('')) throw invalid(text, 'a path is empty')
  return { id, paths }
}

function userAgent(text: string, { env, cwd }: Pick<Host, 'env' | 'cwd'>): SshSource {
  const { SSH_AUTH_SOCK: named = '' } = env
  if (named === '')
    throw unusable(text, 'SSH_AUTH_SOCK is not set', [
      'Start an agent with `eval "$(ssh-agent)"; ssh-add`, or name a key: `--ssh default=$HOME/.ssh/id_ed25519`.',
    ])
  const socket = resolve(cwd, named)
  const stats = look(text, socket, [
    'SSH_AUTH_SOCK names it. Has the agent ended? `ssh-add -l` asks it for its keys.',
  ])
  if (!stats.isSocket()) throw unusable(text, `SSH_AUTH_SOCK names "${socket}", which is no socket`)
  return { kind: 'agent', socket }
}

function sourceOf(text: string, paths: readonly string[], { cwd }: Pick<Host, 'cwd'>): SshSource {
  const found = paths.map((named) => {
    const path = resolve(cwd, named)
    const hints = named.startsWith('~') ? ['`~` is not expanded here: write `$HOME`.'] : []
    return { path, stats: look(text, path, hints) }
  })
  const socket = found.find(({ stats }) => stats.isSocket())
  if (socket !== undefined && found.length > 1)
    throw invalid(text, `"${socket.path}" is a socket, which stands alone`)
  if (socket !== undefined) return { kind: 'agent', socket: socket.path }
  const wrong = found.find(({ stats }) => !stats.isFile())
  if (wrong !== undefined)
    throw unusable(
      text,
      `"${wrong.path}" is ${wrong.stats.isDirectory() ? 'a directory' : 'neither a key file nor a socket'}`,
    )
  return { kind: 'keys', paths: found.map(({ path }) => path) }
}

function look(text: string, path: string, hints: readonly string[]): Stats {
  try {
    return statSync(path)
  } catch (cause) {
    if (!(cause instanceof Error) || !('code' in cause)) throw cause
    const why = cause.code === 'ENOENT' ? `there is no "${path}"` : cause.message
    throw unusable(text, why, hints, cause)
  }
}

function invalid(text: string, why: string): UserError {
  return new UserError('ERR_USAGE', `Cannot use --ssh "${text}": ${why}`, {
    hints: ['For example `--ssh default`, `--ssh id=/run/agent.sock` or `--ssh id=key1,key2`.'],
  })
}

function unusable(text: string, why: string, hints: readonly string[] = [], cause?: unknown): UserError {
  return new UserError('ERR_SSH', `Cannot use --ssh "${text}": ${why}`, { hints, cause })
}
