import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** One file of a tree; bytes that are not printable ASCII are written `\xNN`. */
export interface Surveyed {
  readonly path: string
  readonly kind: 'file' | 'dir' | 'link' | 'fifo' | 'char' | 'block' | 'socket'
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Since 1970. */
  readonly mtimeNs: string
  /** Values in hex. */
  readonly xattrs: Readonly<Record<string, string>>
  /** The first path of the same inode. */
  readonly same?: string
  readonly size?: number
  readonly digest?: string
  /** Content of up to 40 bytes. */
  readonly text?: string | null
  readonly link?: string
  readonly device?: readonly [major: number, minor: number]
}

/** A directory, or a stack of layers as overlayfs wants it, topmost first. */
export type Place = { readonly root: string } | { readonly lower: readonly string[] }

const program = fileURLToPath(new URL('programs/survey.py', import.meta.url))

/** Describes every file of these trees, in the order of their paths. Stacks need root. */
export function survey(places: readonly Place[]): readonly (readonly Surveyed[])[] {
  const { stdout, stderr, status } = spawnSync('unshare', ['--mount', 'python3', program], {
    input: JSON.stringify(places),
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
  })
  if (status !== 0) throw new Error(`survey.py: ${stderr}`)
  return JSON.parse(stdout)
}

/** One line for a file: what it is, and what is unusual about its mode, owner and attributes. */
export function describeLine(file: Surveyed): string {
  if (file.same !== undefined) return `same ${file.path} = ${file.same}`
  const usual = file.kind === 'dir' ? 0o755 : 0o644
  const mode = file.mode === usual || file.kind === 'link' ? '' : ` ${file.mode.toString(8).padStart(4, '0')}`
  const owner = file.uid === 0 && file.gid === 0 ? '' : ` ${file.uid}:${file.gid}`
  const pairs = Object.entries(file.xattrs).map(([name, value]) => `${name}=${value}`)
  const xattrs = pairs.length === 0 ? '' : ` {${pairs.join(' ')}}`
  return `${file.kind} ${file.path}${describeContent(file)}${mode}${owner}${xattrs}`
}

function describeContent(file: Surveyed): string {
  if (file.kind === 'link') return ` -> ${file.link}`
  if (file.device !== undefined) return ` ${file.device.join(':')}`
  if (file.kind !== 'file' || file.size === 0) return ''
  return ` = ${file.text ?? `(${file.size} bytes)`}`
}

/** A tree as lines; the root has one only where it is unusual. */
export function describeFiles(files: readonly Surveyed[]): readonly string[] {
  return files.map(describeLine).filter((line) => line !== 'dir .')
}
