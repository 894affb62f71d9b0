import { readdirSync, readFileSync } from 'node:fs'

/** Ids of processes whose command line contains `marker`. */
export function findProcesses(marker: string): readonly number[] {
  return readProcesses('cmdline')
    .filter(([, text]) => text.replaceAll('\0', ' ').includes(marker))
    .map(([pid]) => pid)
}

/** Mounts, in any process's mount namespace, whose line names `folder`. */
export function findMounts(folder: string): readonly string[] {
  return [
    ...new Set(
      readProcesses('mountinfo').flatMap(([, text]) =>
        text.split('\n').filter((line) => line.includes(folder)),
      ),
    ),
  ]
}

/** Waits until `look` finds nothing more; gives what it still finds after ten seconds, or as long as is said. */
export async function untilNone<T>(look: () => readonly T[], seconds = 10): Promise<readonly T[]> {
  for (let attempt = 0; attempt < seconds * 10 && look().length > 0; attempt += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return look()
}

function readProcesses(file: 'cmdline' | 'mountinfo'): readonly (readonly [number, string])[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      try {
        return [[Number(name), readFileSync(`/proc/${name}/${file}`, 'utf8')] as const]
      } catch {
        // It ended between the two calls.
        return []
      }
    })
}
