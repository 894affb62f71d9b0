import type { ExecOp } from '@tsbuild/graph'
import type { OpenMounts } from './exec-mounts.ts'
import type { StepSecrets } from './exec-secrets.ts'

/** The process of a step but for its root file system. */
export function processOf(op: ExecOp, mounts: OpenMounts, secrets: StepSecrets) {
  const { args, cwd, user, network, security, hostname, extraHosts } = op
  return {
    ...{ args, cwd, user, network, security, hostname, extraHosts },
    env: withVariables(op.env, [...mounts.env, ...secrets.env]),
    mounts: mounts.mounts,
    ulimits: op.ulimits.map(({ name, soft = null, hard = null }) => ({ name, soft, hard })),
    shmSizeBytes: op.shmSizeBytes ?? null,
    readOnly: false,
    terminal: false,
  } as const
}

/** A name that is there twice means another value to each program: the last one is the only one. */
function withVariables(env: readonly string[], added: readonly string[]): readonly string[] {
  if (added.length === 0) return env
  const nameOf = (entry: string) => entry.slice(0, entry.indexOf('='))
  return [...new Map([...env, ...added].map((entry) => [nameOf(entry), entry])).values()]
}
