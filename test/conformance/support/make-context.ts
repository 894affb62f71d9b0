import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { findProgram } from '../../support/capabilities.ts'
import { type Archive, makeArchive, parseArchive } from './archive.ts'
import { type Entry, parseEntry } from './entry.ts'
import { type Parse, text } from './parse.ts'

/** Path in a context → what is made there; null takes away what is there. */
export type ContextFiles = Readonly<Record<string, ContextFile | null>>

/** A file as it is, an archive, or the copy of a program of this machine (`"program": "busybox"`). */
export type ContextFile =
  | { readonly kind: 'entry'; readonly entry: Entry }
  | { readonly kind: 'archive'; readonly archive: Archive }
  | { readonly kind: 'program'; readonly program: string }

/** The time of every file that does not say another: 2001-02-03 04:05:06 UTC. */
export const defaultMtime = 981_173_106

/** Reads a context.json. */
export const parseContextFiles: Parse<ContextFiles> = (value, at) =>
  Object.fromEntries(
    Object.entries(value as object).map(([path, file]) => [path, parseFile(path)(file, `${at} "${path}"`)]),
  )

const parseFile =
  (path: string): Parse<ContextFile | null> =>
  (value, at) => {
    if (value === null) return null
    const { archive, program, ...rest } = typeof value === 'string' ? { text: value } : Object(value)
    if (program !== undefined) return { kind: 'program', program: text(program, at) }
    if (archive !== undefined) return { kind: 'archive', archive: parseArchive(archive, at) }
    return { kind: 'entry', entry: parseEntry(path)(rest, at) }
  }

/**
 * Makes the files below a folder, in order, with exactly the modes, owners, attributes and times that they say. Needs root where
 * an owner, a device or a capability is asked for. A folder's own time is set after what is in it.
 */
export function makeContext(folder: string, files: ContextFiles): void {
  mkdirSync(folder, { recursive: true })
  const times: { readonly path: string; readonly mtime: number }[] = []
  for (const [name, file] of Object.entries(files)) {
    const path = join(folder, name)
    if (file === null) {
      rmSync(path, { recursive: true })
      continue
    }
    for (const parent of missingParents(path, folder)) {
      mkdirSync(parent, { mode: 0o755 })
      chmodSync(parent, 0o755)
      times.push({ path: parent, mtime: defaultMtime })
    }
    makeFile(folder, path, file)
    times.push({ path, mtime: (file.kind === 'entry' ? file.entry.mtime : undefined) ?? defaultMtime })
  }
  for (const { path, mtime } of times.toReversed()) if (exists(path)) lutimesSync(path, mtime, mtime)
  lutimesSync(folder, defaultMtime, defaultMtime)
}

/** Copies a folder of plain files, all with mode 0644 or 0755 and the default time, whatever the checkout made of them. */
export function copyContext(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  chmodSync(to, 0o755)
  for (const child of readdirSync(from, { withFileTypes: true })) {
    const [source, path] = [join(from, child.name), join(to, child.name)]
    if (child.isDirectory()) copyContext(source, path)
    else {
      writeFileSync(path, readFileSync(source))
      chmodSync(path, (lstatSync(source).mode & 0o100) === 0 ? 0o644 : 0o755)
      lutimesSync(path, defaultMtime, defaultMtime)
    }
  }
  lutimesSync(to, defaultMtime, defaultMtime)
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

function missingParents(path: string, folder: string): readonly string[] {
  const parent = dirname(path)
  return parent === folder || existsSync(parent) ? [] : [...missingParents(parent, folder), parent]
}

function makeFile(folder: string, path: string, file: ContextFile): void {
  if (file.kind === 'program') {
    const program = findProgram(file.program)
    if (program === undefined) throw new Error(`${file.program} is not installed: see scripts/setup.sh`)
    writeFileSync(path, readFileSync(program))
    chmodSync(path, 0o755)
    return
  }
  if (file.kind === 'archive') {
    writeFileSync(path, makeArchive(file.archive))
    chmodSync(path, 0o644)
    return
  }
  const { entry } = file
  if (entry.hardlink !== undefined) {
    linkSync(join(folder, entry.hardlink), path)
    return
  }
  makeInode(path, entry)
  lchownSync(path, entry.uid, entry.gid)
  // Last: a change of owner clears setuid.
  if (entry.type !== 'symlink') chmodSync(path, entry.mode)
  for (const [name, value] of entry.xattrs)
    execFileSync('setfattr', ['-h', '-n', name, '-v', `0x${value.toString('hex')}`, path])
}

function makeInode(path: string, entry: Entry): void {
  if (entry.type !== 'directory') rmSync(path, { force: true })
  switch (entry.type) {
    case 'directory':
      mkdirSync(path, { recursive: true })
      return
    case 'symlink':
      symlinkSync(entry.target ?? '', path)
      return
    case 'file':
      writeFileSync(path, entry.content)
      return
    case 'fifo':
      execFileSync('mknod', [path, 'p'])
      return
    case 'socket':
      // Ends without closing: what is closed is unlinked.
      execFileSync(process.execPath, [
        '-e',
        'require("net").createServer().listen(process.argv[1], () => process.exit())',
        path,
      ])
      return
    default: {
      const [major, minor] = entry.device ?? [0, 0]
      execFileSync('mknod', [path, entry.type === 'block' ? 'b' : 'c', `${major}`, `${minor}`])
    }
  }
}
