import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { describeTree } from '../support/tree.ts'
import { openDebianWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openDebianWorkspace('userns')
})
afterAll(() => workspace?.remove())

/** What the installation of a package does to users, owners and modes. */
const dockerfile = [
  'FROM debian:bookworm',
  'ARG MAPPED',
  'RUN grep -q "^ *0 *$MAPPED" /proc/self/uid_map',
  'RUN --mount=type=cache,target=/cache useradd --system --create-home --uid 990 daemon-user && ' +
    'install -d -o daemon-user -g daemon-user -m 2750 /srv/data && chown -R nobody:nogroup /usr/share/doc/dash && ' +
    'cp -p /bin/su /srv/su && ln /srv/su /srv/hard && ln -s su /srv/link && rm -r /usr/share/doc/gzip && ' +
    'mv /etc/motd /etc/moved && touch /cache/kept && echo data > /srv/data/file && chown daemon-user /srv/data/file',
  'RUN su -s /bin/sh nobody -c "id -u > /tmp/nobody; test ! -r /etc/shadow"',
  'USER daemon-user',
  'RUN echo own > ~/own && test "$(stat -c %U ~/own)" = daemon-user',
  'USER root',
  'RUN --mount=type=cache,target=/cache test "$(stat -c %u /cache/kept)" = 0',
  // They hold the day or what was looked up on the way.
  'RUN rm -f /etc/shadow- /etc/passwd- /etc/group- /etc/gshadow- /var/log/lastlog /var/log/faillog',
].join('\n')

describe('--userns=auto', () => {
  it('as root: users, owners, setuid and a cache mount give the image of a build without it', async (t) => {
    needs(t, 'root')
    const build = async (name: string, mapped: string, ...flags: readonly string[]) => {
      const folder = workspace.path(name)
      const context = workspace.context(`${name}-context`, { Dockerfile: dockerfile })
      const options = ['--no-cache', '--network', 'none', '--build-arg', `MAPPED=${mapped}`, '-o', folder]
      await workspace.tsbuild.check([...options, ...flags, context])
      return describeTree(folder)
    }
    // 4294967295 is the length of the machine's own map, which begins with 0.
    const plain = await build('plain', '0 *4294967295')
    const mapped = await build('mapped', '[1-9][0-9]* *65536', '--userns', 'auto')
    expect(mapped.some((line) => line.includes('/srv/data/file 0644 990:'))).toBe(true)
    expect(mapped).toEqual(plain)
  })
})
