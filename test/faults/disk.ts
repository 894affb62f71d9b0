import { existsSync, mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { check, run } from '../support/tsbuild.ts'

/** A small file system of its own. */
export interface Disk {
  /** Where it is mounted. */
  readonly folder: string
  /** Its file, with what a disk of it would hold. */
  readonly image: string
  /** Takes bytes until so many are free. */
  readonly fillBytes: (freeBytes: number) => void
  /** Makes files until so many more can be made. */
  readonly fillInodes: (free: number) => void
  /** Gives everything back. */
  readonly empty: () => void
  /** The kernel finds an error in it, and makes it read-only at once, whoever writes to it. */
  readonly breakDown: () => void
  /** Repairs and mounts it again, as an administrator would. */
  readonly repair: () => Promise<void>
  readonly remove: () => Promise<void>
}

/** What a disk is made of. */
export interface DiskOptions {
  readonly megabytes: number
  readonly inodes?: number
}

/** Makes an ext4 file system in a file and mounts it. `name` is a path that is unused. */
export async function makeDisk(name: string, { megabytes, inodes }: DiskOptions): Promise<Disk> {
  const [image, folder] = [`${name}.img`, name]
  mkdirSync(folder)
  await check('truncate', ['--size', `${megabytes}M`, image])
  await check('mkfs.ext4', ['-q', '-m', '0', ...(inodes === undefined ? [] : ['-N', `${inodes}`]), image])
  await mount(image, folder)
  const ballast = join(folder, 'ballast')
  return {
    folder,
    image,
    fillBytes: (freeBytes) => {
      const { bavail, bsize } = statfsSync(folder)
      mkdirSync(ballast, { recursive: true })
      // Without extents it needs blocks for its own map, so what is free comes out a little smaller.
      writeFileSync(join(ballast, 'bytes'), Buffer.alloc(Math.max(0, bavail * bsize - freeBytes)))
    },
    fillInodes: (free) => {
      mkdirSync(ballast, { recursive: true })
      for (let left = statfsSync(folder).ffree; left > free; left -= 1)
        writeFileSync(join(ballast, `${left}`), '')
    },
    empty: () => rmSync(ballast, { recursive: true, force: true }),
    breakDown: () => writeFileSync(`/sys/fs/ext4/${deviceOf(folder)}/trigger_fs_error`, '1'),
    repair: async () => {
      await unmount(folder)
      // 1 says that it has repaired something.
      const { code, stderr } = await run('e2fsck', ['-fy', image])
      if (code !== 0 && code !== 1) throw new Error(`e2fsck: exit code ${code}\n${stderr}`)
      await mount(image, folder)
    },
    remove: async () => {
      await unmount(folder)
      rmSync(image, { force: true })
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Mounts the file system of a file on a loop device, which goes when it is unmounted. */
export async function mount(image: string, folder: string): Promise<void> {
  await check('mount', ['-o', 'loop,errors=remount-ro', image, folder])
}

/** Unmounts what is mounted on a folder, also where somebody is still in it. */
export async function unmount(folder: string): Promise<void> {
  if (!readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${folder} `)) return
  // Who was killed a moment ago may still hold it.
  for (let attempt = 0; attempt < 50; attempt += 1) {
    if ((await run('umount', [folder])).code === 0) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  await check('umount', ['--lazy', folder])
}

/** `loop3`. */
function deviceOf(folder: string): string {
  const line = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .find((one) => one.split(' ')[1] === folder)
  const device = line?.split(' ')[0]?.replace('/dev/', '')
  if (device === undefined || !existsSync(`/sys/fs/ext4/${device}`))
    throw new Error(`nothing is mounted on ${folder}`)
  return device
}
