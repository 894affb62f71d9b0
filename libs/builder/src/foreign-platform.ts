import { isBuildError, withHints } from '@tsbuild/errors'

const place = '/proc/sys/fs/binfmt_misc'

/** Says how a machine gets interpreters for foreign programs, where an error is about one that is missing. */
export function withPlatformHints(error: unknown): unknown {
  if (!isBuildError(error) || error.code !== 'ERR_STEP_PLATFORM') return error
  return withHints(error, [
    'As root: `apt-get install qemu-user-static binfmt-support` (on Fedora `dnf install qemu-user-static`), or `docker run --privileged --rm tonistiigi/binfmt --install all`.',
    `Where it is installed already: \`mount -t binfmt_misc binfmt_misc ${place}\`, then \`update-binfmts --enable\`.`,
    '`tsbuild doctor` lists the platforms that this machine can run.',
  ])
}
