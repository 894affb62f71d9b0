import { type BuildContext, type ContextHost, createContext } from './build-context.ts'
import type { RemoteTree } from './remote-source.ts'

/** Makes a context of what was fetched. No ignore rules apply to it. @see spec/dockerfile.md 1.7 */
export function openTreeContext(fetched: RemoteTree, host: ContextHost): BuildContext {
  const { tree, shown, sourceDate } = fetched
  return createContext({ shown: `"${shown}"`, tree, sourceDate: async () => sourceDate }, host)
}
