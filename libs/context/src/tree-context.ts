import { type BuildContext, type ContextHost, createContext } from './build-context.ts'
import type { RemoteTree } from './remote-source.ts'

/** Makes a context of what was fetched. No ignore rules apply to it. @see spec/dockerfile.md 1.7 */
export function openTreeContext(fetched: RemoteTree, host: ContextHost): BuildContext {
  const { tree, shown, sourceDate } = fetched
  return createContext({ shown: `"${shown}"`, tree, sourceDate: async () => sourceDate }, host)
}

/**
 * The context of a build that was given a Dockerfile and nothing else.
 *
 * @param directory an empty one
 * @param sourceDate when the Dockerfile was made, in Unix seconds; undefined where nobody says
 */
export function openEmptyContext(directory: string, host: ContextHost, sourceDate?: number): BuildContext {
  return createContext(
    {
      shown: 'the build context, which is empty',
      tree: { kind: 'directory', path: directory, ignore: [], fingerprints: null, checkoutUmask: null },
      sourceDate: async () => sourceDate,
      hints: [
        'The Dockerfile came alone. Give a directory as the context, and the Dockerfile with `--file -`.',
      ],
    },
    host,
  )
}
