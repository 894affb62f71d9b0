import { splitBlanks } from '../characters.ts'
import { type FlagValues, readFlags } from '../flag-values.ts'
import { heredocText, tryHeredocWord } from '../heredoc.ts'
import type { AddInstruction, CopyBase, CopyInstruction, InlineFile } from '../instruction.ts'
import { jsonStrings, type Request, refuse } from '../request.ts'

type Paths = Pick<CopyBase, 'sources' | 'inlineFiles' | 'destination'>

function readPaths(request: Request): Paths {
  const keyword = request.base.keyword.toUpperCase()
  const words = jsonStrings(request) ?? splitBlanks(request.rest)
  const destination = words.at(-1)
  if (destination === undefined || words.length < 2) {
    const known = words.length === 0 ? 'none' : 'only one'
    refuse(
      request,
      `${keyword} requires at least two arguments, but ${known} was provided. Destination could not be determined`,
    )
  }
  if (tryHeredocWord(destination) !== null) {
    refuse(request, `${keyword} cannot accept a heredoc as a destination`, {
      at: { argument: words.length - 1 },
    })
  }
  // When two heredocs share a word, the last body counts for both.
  const bodies = new Map(request.heredocs.map(({ name, content }) => [name, content]))
  const sources: string[] = []
  const inlineFiles: InlineFile[] = []
  for (const word of words.slice(0, -1)) {
    const heredoc = tryHeredocWord(word)
    if (heredoc === null) {
      sources.push(word)
      continue
    }
    const content = heredocText({ content: bodies.get(heredoc.name) ?? '', stripTabs: heredoc.stripTabs })
    inlineFiles.push({ name: heredoc.name, content, expand: heredoc.expand })
  }
  return { sources, inlineFiles, destination }
}

function readShared(request: Request, flags: FlagValues): Omit<CopyBase, keyof Request['base']> {
  return {
    ...readPaths(request),
    heredocs: request.heredocs,
    chown: flags.text('chown'),
    chmod: flags.text('chmod'),
    link: flags.bool('link') ?? false,
    exclude: flags.list('exclude').map((use) => use.value),
  }
}

/**
 * Parses `COPY`.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG`
 */
export function parseCopy(request: Request): CopyInstruction {
  const flags = readFlags(request, {
    text: ['from', 'chown', 'chmod'],
    bool: ['link', 'parents'],
    list: ['exclude'],
  })
  return {
    ...request.base,
    kind: 'copy',
    ...readShared(request, flags),
    from: flags.text('from'),
    parents: flags.bool('parents') ?? false,
  }
}

/**
 * Parses `ADD`.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG`
 */
export function parseAdd(request: Request): AddInstruction {
  const flags = readFlags(request, {
    text: ['chown', 'chmod', 'checksum'],
    bool: ['link', 'keep-git-dir', 'unpack'],
    list: ['exclude'],
  })
  return {
    ...request.base,
    kind: 'add',
    ...readShared(request, flags),
    checksum: flags.text('checksum'),
    keepGitDir: flags.bool('keep-git-dir'),
    unpack: flags.bool('unpack'),
  }
}
