import { isBuildError } from '@tsbuild/errors'
import { type Native, noLimits, type SessionCgroup } from '@tsbuild/native'
import { networkTools } from './session.ts'

/** What a session has on this machine. */
export interface SessionTrial {
  readonly cgroups: readonly SessionCgroup[]
  /** What connects a private network; undefined where nothing does. */
  readonly tool: (typeof networkTools)[number] | undefined
  /** Why not: of each tool that is there, or nothing where none is installed. */
  readonly reasons: readonly string[]
}

/** Makes a session as a build does, and ends it. */
export async function trySession(native: Native, randomId: () => string): Promise<SessionTrial> {
  const reasons: string[] = []
  for (const tool of [...networkTools, undefined]) {
    const network = tool === undefined ? null : { tool, ports: [] }
    const session = native.session({ id: randomId(), cgroupParent: null, limits: noLimits, network })
    try {
      const [{ cgroups }] = await Promise.all([session.ready, session.connected])
      return { cgroups, tool, reasons }
    } catch (error) {
      if (!isBuildError(error)) throw error
      if (error.code !== 'ERR_TOOL_MISSING') reasons.push(error.message)
    } finally {
      await session.end().catch(() => {})
    }
  }
  return { cgroups: [], tool: undefined, reasons }
}
