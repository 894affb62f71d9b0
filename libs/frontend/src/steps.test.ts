import { describe, expect, it } from 'vitest'
import { actionsOf, convertText, execsOf, historyOf, namesOf, vertexOf } from './testing/convert-text.ts'

const copy = {
  kind: 'copy',
  input: 1,
  sources: ['a'],
  dest: '/a',
  exclude: [],
  parents: false,
  chown: undefined,
  chmod: undefined,
  unpack: false,
} as const

const mkfile = {
  kind: 'mkfile',
  dest: '/d/',
  owner: undefined,
  chmod: undefined,
  mtime: undefined,
} as const

describe('toGraph() and COPY', () => {
  it.each([
    ['/d', '/d'],
    ['/d/', '/d/'],
    ['/d/.', '/d/'],
    ['d', '/w/d'],
    ['./d/', '/w/d/'],
    ['.', '/w/'],
    ['./', '/w/'],
    ['../x', '/x'],
    ['/', '/'],
    ['$EMPTY', '/w/'],
    ['/$NAME/y', '/n/y'],
    ['/../../x', '/x'],
  ])('COPY a %s goes to %s', async (written, dest) => {
    const text = `FROM base\nENV NAME=n\nCOPY a ${written}\n`
    const result = await convertText(text, { images: { base: { config: { workingDir: '/w' } } } })
    expect(actionsOf(result)).toEqual([{ ...copy, dest }])
  })

  it('toGraph() expands sources, owner and mode and not --exclude', async () => {
    const text =
      'FROM base\nARG X=1\nCOPY --chown=$X:2 --chmod=$X --exclude=$X --parents ["$X/a", "b c", "/d d/"]\n'
    expect(actionsOf(await convertText(text))).toEqual([
      {
        ...copy,
        sources: ['1/a', 'b c'],
        dest: '/d d/',
        exclude: ['$X'],
        parents: true,
        chown: '1:2',
        chmod: '1',
      },
    ])
  })

  it('toGraph() reads the context, which is one vertex for all steps', async () => {
    const result = await convertText('FROM base\nCOPY a /\nADD b /\n')
    const context = vertexOf(result, 'load build context')
    expect(context.op).toEqual({ kind: 'local', name: 'context' })
    expect(vertexOf(result, 'COPY a /').inputs[1]).toBe(context.digest)
    expect(vertexOf(result, 'ADD b /').inputs).toEqual([vertexOf(result, 'COPY a /').digest, context.digest])
  })

  it('toGraph() has no root file system for a copy into scratch', async () => {
    const result = await convertText('FROM scratch\nCOPY a /\n')
    expect(vertexOf(result, 'COPY a /').op).toEqual({
      kind: 'file',
      rootfs: undefined,
      owners: undefined,
      actions: [{ ...copy, input: 0, dest: '/' }],
    })
  })

  it('toGraph() unpacks archives for ADD, unless it is told not to', async () => {
    expect(actionsOf(await convertText('FROM base\nADD a /a\n'))).toEqual([{ ...copy, unpack: true }])
    expect(actionsOf(await convertText('FROM base\nADD --unpack=false a /a\n'))).toEqual([copy])
  })

  it('toGraph() makes files of heredocs, expanded unless the word is quoted, after the copied ones', async () => {
    const text =
      'FROM base\nENV A=1\nCOPY --chown=u --chmod=0600 a <<one <<-"two" /d/\n"$A"\\\n!\none\n\t$A\n\ttwo\n'
    const result = await convertText(text)
    expect(actionsOf(result)).toEqual([
      { ...copy, dest: '/d/', chown: 'u', chmod: '0600' },
      { ...mkfile, name: 'one', content: '"1"\n!\n', owner: 'u', chmod: '0600' },
      { ...mkfile, name: 'two', content: '$A\n', owner: 'u', chmod: '0600' },
    ])
    expect(historyOf(result).at(-1)).toBe('COPY --chown=u --chmod=0600 a <<one <<two /d/ # buildkit')
  })

  it('a heredoc that is copied cannot be called a/b', async () => {
    await expect(convertText('FROM base\nCOPY <<a/b /\nx\na/b\n')).rejects.toMatchObject({
      code: 'ERR_PATH_INVALID',
      source: { startLine: 2 },
    })
  })

  it('toGraph() leaves a symbolic mode to the file it is for, also for a heredoc', async () => {
    const result = await convertText('FROM base\nCOPY --chmod=u=rwX,go-w a <<b /\nx\nb\n')
    expect(actionsOf(result)).toMatchObject([{ chmod: 'u=rwX,go-w' }, { chmod: 'u=rwX,go-w' }])
  })

  it.each(['64a', '8', '10000', '0o7', '07777777', 'u', 'u+q', 'z=r', 'u+r,', ' '])(
    '--chmod=%s is refused',
    async (mode) => {
      const made = convertText(`FROM base\nARG M="${mode}"\nCOPY --chmod=$M a /\n`)
      await expect(made).rejects.toMatchObject({ code: 'ERR_MODE_INVALID', source: { startLine: 3 } })
    },
  )

  it('toGraph() does without an owner and a mode that expand to nothing', async () => {
    const result = await convertText('FROM base\nCOPY --chown=$X --chmod=$X a /a\n')
    expect(actionsOf(result)).toEqual([copy])
    expect(historyOf(result)).toEqual(['COPY a /a # buildkit'])
  })

  it('toGraph() copies nothing of a stage without files if all of it is asked for', async () => {
    const result = await convertText('FROM scratch AS none\nFROM base\nCOPY --from=none / /\n')
    const empty = vertexOf(result, 'no files')
    expect(empty.op).toEqual({ kind: 'file', rootfs: undefined, owners: undefined, actions: [] })
    expect(vertexOf(result, '--from=none / /').inputs[1]).toBe(empty.digest)
    const scratch = await convertText('FROM base\nCOPY --from=scratch / /\n')
    expect(vertexOf(scratch, '--from=scratch / /').inputs[1]).toBe(empty.digest)
  })

  it('COPY --from= with nothing behind it reads the build context', async () => {
    const result = await convertText('FROM base\nCOPY --from= a /\n')
    expect(vertexOf(result, 'a /').inputs[1]).toBe(vertexOf(result, 'load build context').digest)
  })

  it('COPY --parents is in the history, before the owner', async () => {
    const result = await convertText('FROM base\nCOPY --chmod=1 --chown=1 --parents a/./b /\n')
    expect(historyOf(result)).toEqual(['COPY --parents --chown=1 --chmod=1 a/./b / # buildkit'])
  })

  it('toGraph() needs no context for heredocs alone, and names the file by a destination without a slash', async () => {
    const result = await convertText('FROM scratch\nCOPY <<x /etc/motd\nhi\nx\n')
    expect(result.graph.vertices).toHaveLength(1)
    expect(actionsOf(result)).toEqual([{ ...mkfile, name: 'x', dest: '/etc/motd', content: 'hi\n' }])
  })
})

describe('toGraph() and RUN', () => {
  it.each([
    ['shell form', 'RUN echo $A "b"', ['/bin/sh', '-c', 'echo $A "b"']],
    ['exec form', 'RUN ["a", "$B"]', ['a', '$B']],
    ['a heredoc alone', 'RUN <<EOF\necho $A\n\tb\nEOF', ['/bin/sh', '-c', 'echo $A\n\tb\n']],
    ['a heredoc without its tabs', 'RUN <<-EOF\n\techo\n\tEOF', ['/bin/sh', '-c', 'echo\n']],
    ['a quoted heredoc', 'RUN <<"EOF"\n$A\nEOF', ['/bin/sh', '-c', '$A\n']],
    ['a heredoc of a command', 'RUN cat <<EOF > f\nx\nEOF', ['/bin/sh', '-c', 'cat <<EOF > f\nx\nEOF']],
    ['two heredocs', 'RUN <<A cat <<B\n1\nA\n2\nB', ['/bin/sh', '-c', '<<A cat <<B\n1\nA\n2\nB']],
    ['a redirection of another descriptor', 'RUN 3<<A\n1\nA', ['/bin/sh', '-c', '3<<A\n1\nA']],
    ['a shell that is none', 'SHELL ["/bin/awk"]\nRUN <<A\n{}\nA', ['/bin/awk', '{}\n']],
  ])('%s', async (_, text, args) => {
    expect(execsOf(await convertText(`FROM base\n${text}\n`))[0]?.args).toEqual(args)
  })

  it.each([
    ['RUN <<EOF', 'EOF', '#!/usr/bin/python3\nprint("$A")\n', '/bin/sh -c'],
    ['RUN <<"x y"', 'x y', '#!x\n', '/bin/sh -c'],
    ['RUN <<-E', 'E', '#!x\n', '/bin/sh -c'],
    ['SHELL ["/bin/bash", "-e", "-c"]\nRUN <<E', 'E', '#!x\n', '/bin/bash -e -c'],
  ])('%j with an interpreter is a file that the shell is told to run', async (run, word, body, shell) => {
    const written = run.includes('<<-') ? body.replaceAll(/^/gm, '\t') : body
    const result = await convertText(`FROM base\nARG A=1\n${run}\n${written}${word}\n`)
    const path = `/dev/pipes/${word}`
    expect(execsOf(result)).toMatchObject([
      { args: [...shell.split(' '), path], scripts: [{ path, content: body }] },
    ])
    expect(historyOf(result).at(-1)).toBe(`RUN |1 A=1 ${shell} ${path} # buildkit`)
  })

  it('RUN without an interpreter in its heredoc, or with other words, has no file', async () => {
    const text = 'FROM base\nRUN x\nRUN <<E\nx\nE\nRUN cat <<E\n#!x\nE\nRUN <<A <<B\n#!x\nA\n#!y\nB\n'
    expect(execsOf(await convertText(text)).map(({ scripts }) => scripts)).toEqual([[], [], [], []])
  })

  it.each(['a/b', '..', '.'])('a heredoc with an interpreter cannot be called %s', async (word) => {
    const text = `FROM base\nRUN <<"${word}"\n#!x\n${word}\n`
    await expect(convertText(text)).rejects.toMatchObject({
      code: 'ERR_PATH_INVALID',
      source: { startLine: 2 },
    })
  })

  it.each([
    ['default', '', 'default'],
    ['none', '', 'none'],
    ['host', '', 'host'],
    ['host', '--network=none ', 'none'],
    ['none', '--network=host ', 'host'],
    ['none', '--network=default ', 'none'],
  ] as const)('the network of a build with %s and RUN %s is %s', async (network, flag, expected) => {
    const result = await convertText(`FROM base\nRUN ${flag}x\n`, { network, allow: ['network.host'] })
    expect(execsOf(result)[0]?.network).toBe(expected)
  })

  it.each([
    ['--network=host', 'network.host'],
    ['--security=insecure', 'security.insecure'],
  ] as const)('RUN %s needs the entitlement %s', async (flag, entitlement) => {
    const text = `FROM base\nRUN ${flag} x\n`
    await expect(convertText(text)).rejects.toMatchObject({
      code: 'ERR_ENTITLEMENT',
      message: `Cannot run this step: entitlement ${entitlement} is not allowed`,
      hints: [expect.stringContaining(`\`--allow ${entitlement}\``)],
      source: { startLine: 2 },
    })
    const other = entitlement === 'network.host' ? 'security.insecure' : 'network.host'
    await expect(convertText(text, { allow: [other] })).rejects.toMatchObject({ code: 'ERR_ENTITLEMENT' })
    expect(execsOf(await convertText(text, { allow: [entitlement] }))).toHaveLength(1)
  })

  it('the network of the machine for the whole build allows itself, and nothing else', async () => {
    const network = 'host'
    expect(execsOf(await convertText('FROM base\nRUN --network=host x\n', { network }))).toHaveLength(1)
    await expect(convertText('FROM base\nRUN --security=insecure x\n', { network })).rejects.toMatchObject({
      message: expect.stringContaining('security.insecure'),
    })
  })

  it('an entitlement is refused before any image is asked for', async () => {
    const text = 'FROM scratch\nRUN --network=host --mount=from=missing,target=/m x\n'
    const { requests } = await convertText('FROM scratch\nRUN x\n')
    expect(requests).toEqual([])
    await expect(convertText(text)).rejects.toMatchObject({ code: 'ERR_ENTITLEMENT' })
  })

  it('RUN --security=insecure is in the step', async () => {
    const result = await convertText('FROM base\nRUN x\nRUN --security=insecure x\n', {
      allow: ['security.insecure'],
    })
    expect(execsOf(result).map(({ security }) => security)).toEqual(['sandbox', 'insecure'])
  })

  it('toGraph() gives every RUN --ulimit, --shm-size and --cgroup-parent of the build', async () => {
    const limits = {
      ulimits: [{ name: 'nofile', soft: 1024, hard: undefined }],
      shmSizeBytes: 1_048_576,
      cgroupParent: '/builds',
    }
    const execs = execsOf(await convertText('FROM base\nRUN x\nRUN y\n', limits))
    expect(execs).toMatchObject([limits, limits])
  })

  it('toGraph() gives every RUN the fixed host name, the extra hosts and the user', async () => {
    const extraHosts = [{ name: 'db', ip: '10.0.0.1' }]
    const [op] = execsOf(await convertText('FROM base\nUSER a:b\nRUN x\n', { extraHosts }))
    expect(op).toMatchObject({ hostname: 'buildkitsandbox', extraHosts, user: 'a:b', cwd: '/' })
  })

  it('the name of a heredoc step is its first line', async () => {
    const text =
      'FROM base\nRUN <<E\n\n  set -e\n  make\nE\nRUN <<-E\n\t#!x\n\tE\nRUN cat <<E\na\nE\nRUN <<A <<B\na\nA\nb\nB\n'
    expect(namesOf(await convertText(text)).slice(1)).toEqual([
      '[2/5] RUN <<E (set -e...)',
      '[3/5] RUN <<-E (#!x)',
      '[4/5] RUN cat <<E',
      '[5/5] RUN <<A <<B',
    ])
  })

  it('toGraph() tells where a step stands, heredoc included', async () => {
    const result = await convertText('FROM base\n# c\nRUN <<E\nx\nE\nCOPY a \\\n  b\n')
    expect(vertexOf(result, 'RUN <<E (x)').source).toMatchObject({ startLine: 3, endLine: 5 })
    expect(result.graph.vertices.at(-1)?.source).toMatchObject({ startLine: 6, endLine: 7 })
  })
})

describe('toGraph() and --no-cache', () => {
  const text =
    'FROM base AS one\nRUN 1\nCOPY a /\nFROM base AS Two\nWORKDIR /w\nRUN 2\nCOPY --from=one /a /\n'
  const forced = async (noCache: boolean | readonly string[]) =>
    (await convertText(text, { noCache })).graph.vertices
      .filter(({ ignoreCache }) => ignoreCache)
      .map(({ name }) => name)

  it.each([
    [false, []],
    [
      true,
      [
        '[two 2/4] WORKDIR /w',
        '[two 3/4] RUN 2',
        '[one 2/3] RUN 1',
        '[one 3/3] COPY a /',
        '[two 4/4] COPY --from=one /a /',
      ],
    ],
    [['ONE'], ['[one 2/3] RUN 1', '[one 3/3] COPY a /']],
    [['1'], ['[two 2/4] WORKDIR /w', '[two 3/4] RUN 2', '[two 4/4] COPY --from=one /a /']],
    [['none'], []],
  ])('toGraph() with %j forces %j', async (noCache, names) => {
    expect(await forced(noCache)).toEqual(names)
  })
})
