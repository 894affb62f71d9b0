import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** An entry as a reader of archives lists it. */
export interface Listed {
  readonly path: string
  readonly kind: string
  readonly size: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Of a symbolic or hard link. */
  readonly link: string
}

/** What a reader makes of an archive; null where it refuses it. */
export type Listing = readonly Listed[] | null

const here = (name: string) => fileURLToPath(new URL(`programs/${name}`, import.meta.url))

/** Lists archives with Python's tarfile. */
export function listWithPython(archives: readonly string[]): readonly Listing[] {
  return JSON.parse(run('python3', [here('list.py')], archives.join('\n')))
}

/** Lists archives with Go's archive/tar, by a program that is built into `folder`. */
export function listWithGo(archives: readonly string[], folder: string): readonly Listing[] {
  const program = `${folder}/list`
  run('go', ['build', '-o', program, here('list.go')])
  return JSON.parse(run(program, archives))
}

/** Lists archives with GNU tar. */
export function listWithGnuTar(archives: readonly string[]): readonly Listing[] {
  return archives.map((archive) => {
    const args = ['--list', '-v', '--numeric-owner', '--full-time', '--quoting-style=c', '-f', archive]
    const { status, stdout } = spawnSync('tar', args, {
      encoding: 'utf8',
      env: { ...process.env, TZ: 'UTC' },
    })
    return status === 0 ? stdout.split('\n').filter(Boolean).map(parseLine) : null
  })
}

const kinds = new Map(
  Object.entries({
    '-': 'file',
    C: 'file',
    h: 'hard',
    l: 'link',
    c: 'char',
    b: 'block',
    d: 'dir',
    p: 'fifo',
    V: 'label',
  }),
)

/** `-rw-r--r-- 0/0  5 2020-09-13 12:26:40 "name" -> "target"` */
function parseLine(line: string): Listed {
  const pattern =
    /^(.)(\S{9})\s+(\d+)\/(\d+)\s+(\S+) \S+ \S+ "((?:[^"\\]|\\.)*)"(?: (?:->|link to) "((?:[^"\\]|\\.)*)")?/
  const [, type = '', bits = '', uid, gid, size = '', path = '', link = ''] = pattern.exec(line) ?? []
  const kind = kinds.get(type) ?? `unknown ${line}`
  return {
    path: unquote(path),
    kind,
    size: kind === 'file' ? Number(size) : 0,
    mode: parseBits(bits),
    uid: Number(uid),
    gid: Number(gid),
    link: unquote(link),
  }
}

/** `rwsr-xr-t` as a number. */
function parseBits(bits: string): number {
  return [...bits].reduce((mode, letter, at) => {
    const bit = 0o400 >> at
    const special = [0o4000, 0o2000, 0o1000][Math.floor(at / 3)] ?? 0
    if (letter === '-') return mode
    return mode | (/[SsTt]/.test(letter) ? special : 0) | (/[ST]/.test(letter) ? 0 : bit)
  }, 0)
}

/** From C's escapes to `\xNN`. */
function unquote(text: string): string {
  const letters: Readonly<Record<string, number>> = { n: 10, t: 9, r: 13, b: 8, f: 12, v: 11, a: 7 }
  return text.replace(/\\(\d{3}|.)/g, (_, sign: string) => {
    if (/^\d/.test(sign)) return hex(Number.parseInt(sign, 8))
    const code = letters[sign]
    return code === undefined ? sign : hex(code)
  })
}

const hex = (code: number) => `\\x${code.toString(16).padStart(2, '0')}`

function run(program: string, args: readonly string[], input = ''): string {
  const outcome = spawnSync(program, args, { input, encoding: 'utf8', maxBuffer: 2 ** 28 })
  if (outcome.status !== 0) throw new Error(`${program}: ${outcome.stderr}`)
  return outcome.stdout
}
