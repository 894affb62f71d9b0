import { statSync } from 'node:fs'

/** What each usual umask makes of 0666: the mode of a file that somebody wrote or checked out, and nobody changed. */
const umasks: ReadonlyMap<number, number> = new Map(
  [0o022, 0o002, 0o000, 0o027, 0o007, 0o077].map((umask) => [0o666 & ~umask, umask]),
)

/**
 * The umask under which a file was made, if its mode is one that a usual umask makes.
 * @param mode permission bits
 * @see docs/adr/0021
 */
export function umaskOf(mode: number): number | undefined {
  return umasks.get(mode)
}

/**
 * The umask of a Dockerfile, where the directory that is copied from can have been made under it too: a directory that lets in
 * whom the umask keeps out was not. So one private Dockerfile in an open directory makes no private file public.
 */
export function checkoutUmask(directory: string, umask: number | undefined): number | null {
  if (umask === undefined) return null
  return (statSync(directory).mode & umask) === 0 ? umask : null
}
