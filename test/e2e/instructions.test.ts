import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openBusyboxWorkspace, readLine, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('instructions')
})
afterAll(() => workspace?.remove())

/** Builds a Dockerfile on `busybox:test` and exports its files. */
async function exported(
  name: string,
  lines: readonly string[],
  files: Readonly<Record<string, string>> = {},
) {
  const context = workspace.context(name, {
    Dockerfile: ['FROM busybox:test', ...lines].join('\n'),
    ...files,
  })
  const out = workspace.path(`${name}-out`)
  await workspace.tsbuild.check(['-q', '-o', out, context])
  return {
    text: (path: string) => readLine(join(out, path)),
    stat: (path: string) => lstatSync(join(out, path)),
    list: (path: string) => readdirSync(join(out, path)).toSorted(),
  }
}

describe('instructions', () => {
  it('ENV and ARG expand, and ENV wins', async () => {
    const out = await exported(
      'expand',
      [
        'ARG NAME=arg',
        'ENV GREETING="hello ${NAME:-nobody}" NAME=env',
        'RUN echo "$GREETING, $NAME" > /out',
        'COPY ${NAME}.txt /copied',
      ],
      { 'env.txt': 'copied' },
    )
    expect(out.text('out')).toBe('hello arg, env')
    expect(out.text('copied')).toBe('copied')
  })

  it('RUN takes the exec form, SHELL and here-documents', async () => {
    const out = await exported('shell', [
      'RUN ["/bin/sh", "-c", "echo exec $0 > /exec", "zero"]',
      'SHELL ["/bin/sh", "-e", "-c"]',
      'RUN set | grep -c . > /dev/null; echo "$-" > /flags',
      'RUN <<EOF',
      'echo one > /here',
      'echo two >> /here',
      'EOF',
    ])
    expect(out.text('exec')).toBe('exec zero')
    expect(out.text('flags')).toContain('e')
    expect(out.text('here')).toBe('one\ntwo')
  })

  it('COPY sets owner and mode, keeps trees and honours .dockerignore', async () => {
    const out = await exported(
      'copy',
      ['COPY --chown=web:web --chmod=640 a.txt /a', 'COPY --chown=7:8 tree /tree/', 'COPY . /all/'],
      {
        'a.txt': 'a',
        'tree/deep/file': 'x',
        'ignored.log': 'no',
        'kept.log': 'yes',
        '.dockerignore': '*.log\n!kept.log\nDockerfile\n.dockerignore\n',
      },
    )
    expect(out.stat('a').mode & 0o777).toBe(0o640)
    expect([out.stat('a').uid, out.stat('a').gid]).toEqual([1000, 1000])
    expect([out.stat('tree/deep/file').uid, out.stat('tree/deep/file').gid]).toEqual([7, 8])
    expect(out.list('all')).toEqual(['a.txt', 'kept.log', 'tree'])
  })

  it('WORKDIR makes its folder and is where RUN starts; USER decides who runs', async () => {
    const out = await exported('user', [
      'WORKDIR /one',
      'WORKDIR two',
      'RUN chmod 777 . && pwd > where',
      'USER web',
      'RUN id -u > who && id -g >> who && echo "$HOME" >> who',
    ])
    expect(out.text('one/two/where')).toBe('/one/two')
    expect(out.text('one/two/who').split('\n').slice(0, 2)).toEqual(['1000', '1000'])
  })

  it('RUN has namespaces, devices and a PID 1 of its own', async () => {
    const out = await exported('sandbox', [
      'RUN echo $$ > /pid; ls /proc | grep -c "^[0-9]" > /count; hostname > /host; ls /dev > /devices',
      'RUN grep CapEff /proc/self/status > /caps; (mount -t tmpfs none /mnt 2>&1 || echo refused) > /mount',
    ])
    expect(Number(out.text('pid'))).toBeLessThan(20)
    expect(Number(out.text('count'))).toBeLessThan(10)
    expect(out.text('devices').split('\n')).toEqual(
      expect.arrayContaining(['null', 'zero', 'random', 'urandom', 'tty']),
    )
    // Docker's default set.
    expect(out.text('caps')).toMatch(/00000000a80425fb$/)
    expect(out.text('mount')).toContain('refused')
  })

  it('RUN leaves nothing of the sandbox in the layer', async () => {
    const out = await exported('clean', ['RUN true'])
    for (const folder of ['dev', 'proc', 'sys', 'etc/resolv.conf', 'etc/hosts']) {
      expect(() => out.stat(folder), folder).toThrow(/ENOENT/)
    }
  })

  it('RUN --network=none has no way out', async () => {
    const context = workspace.context('offline', {
      Dockerfile: 'FROM busybox:test\nRUN ip -o link > /links; ip route > /routes\n',
    })
    const out = workspace.path('offline-out')
    await workspace.tsbuild.check(['-q', '--network', 'none', '-o', out, context])
    expect(readFileSync(join(out, 'links'), 'utf8').trim().split('\n')).toHaveLength(1)
    expect(readFileSync(join(out, 'routes'), 'utf8')).toBe('')
  })

  it('the image config holds what the Dockerfile says', async () => {
    const context = workspace.context('config', {
      Dockerfile: [
        'FROM busybox:test',
        'ENV A=1 B="two words"',
        'LABEL x.y="z"',
        'EXPOSE 80 53/udp',
        'VOLUME /data',
        'STOPSIGNAL SIGINT',
        'USER web:web',
        'WORKDIR /srv',
        'HEALTHCHECK --interval=5s --retries=2 CMD true',
        'SHELL ["/bin/sh", "-ec"]',
        'ENTRYPOINT ["/bin/echo"]',
        'CMD ["hi"]',
      ].join('\n'),
    })
    const archive = workspace.path('config.tar')
    await workspace.tsbuild.check(['-q', '--label', 'x.w=v', '-o', `type=oci,dest=${archive}`, context])
    const { check } = await import('../support/tsbuild.ts')
    const { config, architecture, os } = JSON.parse(
      await check('skopeo', ['inspect', '--config', `oci-archive:${archive}`]),
    )
    expect(os).toBe('linux')
    expect(architecture).toBe(process.arch === 'x64' ? 'amd64' : process.arch)
    expect(config).toMatchObject({
      Env: expect.arrayContaining(['A=1', 'B=two words', expect.stringMatching(/^PATH=/)]),
      Labels: { 'x.y': 'z', 'x.w': 'v' },
      ExposedPorts: { '80/tcp': {}, '53/udp': {} },
      Volumes: { '/data': {} },
      StopSignal: 'SIGINT',
      User: 'web:web',
      WorkingDir: '/srv',
      Entrypoint: ['/bin/echo'],
      Cmd: ['hi'],
    })
  })

  it('ADD copies local files and extracts local archives', async () => {
    const context = workspace.context('add', {
      Dockerfile: 'FROM busybox:test\nADD file /added/\nADD files.tar.gz /unpacked/\n',
      file: 'x\n',
    })
    const { check } = await import('../support/tsbuild.ts')
    await check('tar', ['-C', context, '-czf', join(context, 'files.tar.gz'), 'file'])
    const out = workspace.path('add-out')
    await workspace.tsbuild.check(['-q', '-o', out, context])
    expect(readLine(join(out, 'added/file'))).toBe('x')
    expect(readLine(join(out, 'unpacked/file'))).toBe('x')
  })
})
