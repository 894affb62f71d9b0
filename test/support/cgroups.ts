import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where cgroups of both versions are mounted. */
function hierarchies(): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] ?? '')
}

/** Directories of this cgroup that are there, one for each hierarchy. */
export function findCgroups(name: string): readonly string[] {
  return hierarchies()
    .map((mount) => join(mount, name))
    .filter((path) => existsSync(path))
}

/** What the first of these files has in the cgroups right below this one; the names differ between the versions. */
export function readCgroup(name: string, ...files: readonly string[]): string | undefined {
  for (const parent of findCgroups(name))
    for (const child of readdirSync(parent, { withFileTypes: true })) {
      const found = files.map((file) => join(parent, child.name, file)).find((path) => existsSync(path))
      if (child.isDirectory() && found !== undefined) return readFileSync(found, 'utf8').trim()
    }
  return undefined
}
