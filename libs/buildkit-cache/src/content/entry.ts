/** A file of a context as BuildKit sees it. */
export interface ContentEntry {
  /** Absolute in the context: `/src/main.ts`. */
  readonly path: string
  readonly kind: 'file' | 'directory' | 'symlink'
  /** Permission bits, set-user-ID, set-group-ID and sticky; 0777 of symlinks. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** In bytes; 0 of what is no file. */
  readonly size: number
  /** Of the bytes of a file, in hex; what is read has it. Undefined: nobody knows. */
  readonly sha256: string | undefined
  /** Where a symlink leads; '' for what is none. */
  readonly target: string
  /** Those that a copy takes with it. */
  readonly attributes: readonly (readonly [name: string, value: Buffer])[]
}

/**
 * Reads a list of files that `scan` made of a selection with `parents`: paths are those in the context.
 *
 * @returns undefined if it holds something that BuildKit's key cannot be told of here: a device, a pipe, a socket
 * @see docs/dev/cache-keys.md, "Content digests"
 */
export function parseFileList(list: Uint8Array): readonly ContentEntry[] | undefined {
  const [version, ...lines] = Buffer.from(list).toString('latin1').split('\n')
  if (version !== 'tsbuild-content-v1') return undefined
  const entries: ContentEntry[] = []
  for (const line of lines) {
    if (line === '' || line.startsWith('source ')) continue
    const entry = parseLine(line.split(' '))
    if (entry === undefined) return undefined
    entries.push(entry)
  }
  return entries
}

const kinds = { d: 'directory', i: 'directory', f: 'file', l: 'symlink' } as const

function parseLine(fields: readonly string[]): ContentEntry | undefined {
  const [type = '', mode = '', owner = '', third = ''] = fields
  const kind = type === 'd' || type === 'i' || type === 'f' || type === 'l' ? kinds[type] : undefined
  const [uid, gid] = owner.split(':').map(Number)
  const name = fields.at(-1)
  if (kind === undefined || name === undefined || uid === undefined || gid === undefined) return undefined
  const attributes = fields.slice(3, -1).flatMap((field) => attributeOf(field))
  return {
    path: unescaped(name),
    kind,
    mode: Number.parseInt(mode, 8),
    uid,
    gid,
    size: kind === 'file' ? Number(third) : 0,
    sha256: kind === 'file' ? fields[4] : undefined,
    target: kind === 'symlink' ? unescaped(third) : '',
    attributes,
  }
}

function attributeOf(field: string): readonly (readonly [string, Buffer])[] {
  const match = /^x=([^=]*)=([0-9a-f]*)$/.exec(field)
  return match === null ? [] : [[unescaped(match[1] ?? ''), Buffer.from(match[2] ?? '', 'hex')]]
}

function unescaped(text: string): string {
  const bytes = text.replace(/%([0-9a-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return Buffer.from(bytes, 'latin1').toString('utf8')
}
