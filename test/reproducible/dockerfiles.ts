/**
 * Images whose bytes are known. They hold nothing of the machine that makes them: the shell and the programs of their RUN
 * steps come from a context that is only mounted.
 */

/** `RUN`, with busybox at /bin; nothing of it is in the layer. */
const run = (script: string, flags = '') =>
  `RUN --mount=type=bind,from=tools,target=/bin ${flags}${flags === '' ? '' : ' '}${script}`

/** Dockerfiles by name. Each is built from {@link contextFiles}. */
export const dockerfiles: Readonly<Record<string, readonly string[]>> = {
  'copy-file': ['FROM scratch', 'COPY src/main.c /'],
  'copy-directory': ['FROM scratch', 'COPY . /all/'],
  'copy-wildcards': ['FROM scratch', 'COPY src/*.c data/?.txt /picked/'],
  'copy-parents': ['FROM scratch', 'COPY --parents src/lib/./util.c data/a.txt /tree/'],
  'copy-exclude': ['FROM scratch', 'COPY --exclude=**/*.txt . /rest/'],
  'copy-chmod': ['FROM scratch', 'COPY --chmod=4711 src/run /one', 'COPY --chmod=u=rwX,go= data /two'],
  'copy-chown': ['FROM scratch', 'COPY --chown=1000:2000 src /src', 'COPY --chown=65534 data/a.txt /a'],
  'copy-link': [
    'FROM scratch',
    'COPY --link src /a/src',
    'COPY --link data /a/data',
    'COPY --link src/run /a/data/run',
  ],
  'copy-heredoc': ['FROM scratch', 'COPY <<one <<two /files/', 'first', 'one', 'second', 'two'],
  'copy-over-copy': ['FROM scratch', 'COPY src /x', 'COPY data /x', 'COPY src/main.c /x/a.txt'],
  'copy-named-context': ['FROM scratch', 'COPY --from=more . /more/'],
  'add-archive': ['FROM scratch', 'ADD packed.tar /'],
  'add-archive-as-file': ['FROM scratch', 'ADD --unpack=false packed.tar /'],
  'add-twice': ['FROM scratch', 'ADD packed.tar /', 'ADD packed.tar /again/'],
  workdir: ['FROM scratch', 'WORKDIR /a/b/c', 'WORKDIR ../d', 'COPY src/main.c .'],
  'metadata-only': [
    'FROM scratch',
    'ENV A=1 B="two words"',
    'LABEL z=1 a=2',
    'CMD ["/run"]',
    'ENTRYPOINT ["/e"]',
  ],
  metadata: [
    'FROM scratch',
    'COPY src/run /run',
    'EXPOSE 80 443/udp',
    'VOLUME ["/v", "/a"]',
    'USER 1000:1000',
    'STOPSIGNAL SIGINT',
    'HEALTHCHECK --interval=5s --timeout=3s --retries=2 CMD ["/run"]',
    'ONBUILD COPY . /onbuild',
    'MAINTAINER somebody',
  ],
  arguments: ['ARG A=1', 'FROM scratch', 'ARG A', 'ARG B=b', run('echo "$A $B" > /args')],
  'run-write': ['FROM scratch', run('echo hello > /hello')],
  'run-nothing': ['FROM scratch', run('true'), 'COPY data/a.txt /', run('true')],
  'run-modes': [
    'FROM scratch',
    run('mkdir -m 1777 /t && mkdir -m 0 /none && echo x > /t/x && chmod 6755 /t/x'),
  ],
  'run-owners': ['FROM scratch', run('echo x > /x && chown 12345:54321 /x && mkdir /d && chown 1:2 /d')],
  'run-delete': ['FROM scratch', 'COPY . /all/', run('rm -r /all/src/lib /all/data/a.txt')],
  'run-replace-directory': ['FROM scratch', 'COPY data /d', run('rm -r /d && mkdir /d && echo new > /d/new')],
  'run-kinds-change': [
    'FROM scratch',
    'COPY . /a/',
    run('rm -r /a/data && echo x > /a/data && rm /a/src/run && mkdir /a/src/run'),
  ],
  'run-hard-links': [
    'FROM scratch',
    run('echo x > /z && ln /z /a && mkdir /m && ln /z /m/m'),
    run('echo y >> /a'),
  ],
  'run-symlinks': [
    'FROM scratch',
    run('ln -s /nowhere /dangling && ln -s dangling /chain && mkdir /d && ln -s .. /d/up'),
  ],
  'run-rename': ['FROM scratch', 'COPY src /a', run('mv /a /b && mv /b/main.c /b/other.c')],
  'run-fifo': ['FROM scratch', run('mkfifo /f && chmod 600 /f')],
  'run-many-files': [
    'FROM scratch',
    run('mkdir /m && for i in $(seq 300); do echo $i > /m/$((i * 7919 % 1000)); done'),
  ],
  'run-several-blocks': ['FROM scratch', run('seq 600000 > /numbers && seq 3 900000 > /others')],
  'run-names': [
    'FROM scratch',
    run(`printf x > '/ünï' && printf y > "/$(printf 'new\\nline')" && printf z > '/ space '`),
  ],
  'run-long-names': [
    'FROM scratch',
    run("n=$(printf 'x%.0s' $(seq 200)) && mkdir -p /$n/$n && echo x > /$n/$n/$n"),
  ],
  'run-sparse': [
    'FROM scratch',
    run('dd if=/dev/zero of=/s bs=1 count=1 seek=3000000 2> /dev/null && echo end >> /s'),
  ],
  'run-old-times': [
    'FROM scratch',
    run('echo x > /x && touch -d @981173106 /x && echo y > /y && touch -d @4000000000 /y'),
  ],
  'run-heredoc': ['FROM scratch', `${run('<<EOF')}`, 'set -e', 'mkdir /h', 'echo 1 > /h/1', 'EOF'],
  'run-shell': ['FROM scratch', 'SHELL ["/bin/sh", "-euc"]', run('echo "$0" > /shell')],
  'run-user': [
    'FROM scratch',
    run('mkdir -m 777 /w'),
    'USER 1000:1000',
    run('umask 027 && echo x > /w/x && mkdir /w/d'),
  ],
  'run-cache-mount': [
    'FROM scratch',
    run('echo kept > /c/kept && cp /c/kept /out', '--mount=type=cache,target=/c,id=golden'),
  ],
  'run-tmpfs-mount': [
    'FROM scratch',
    run('echo x > /t/x && echo done > /out', '--mount=type=tmpfs,target=/t'),
  ],
  'run-bind-mount': [
    'FROM scratch',
    run('cat /ctx/src/main.c > /out && echo x > /ctx/new', '--mount=type=bind,rw,target=/ctx'),
  ],
  'run-environment': [
    'FROM scratch',
    'ENV B=2',
    'WORKDIR /w',
    run('env | sort > env && pwd > pwd && hostname > hostname && umask > umask'),
  ],
  stages: [
    'FROM scratch AS one',
    run('mkdir /o && echo 1 > /o/1'),
    'FROM scratch AS two',
    'COPY --from=one /o /t',
    run('echo 2 > /t/2'),
    'FROM one',
    'COPY --from=two /t /final',
  ],
  'stages-in-parallel': [
    ...['a', 'b', 'c', 'd'].flatMap((name) => [
      `FROM scratch AS ${name}`,
      run(`mkdir /${name} && seq 2000 > /${name}/${name}`),
    ]),
    'FROM scratch',
    ...['d', 'b', 'a', 'c'].map((name) => `COPY --from=${name} / /`),
  ],
  'stages-linked': [
    'FROM scratch AS one',
    run('mkdir -p /o/deep && echo 1 > /o/deep/1'),
    'FROM scratch',
    'COPY --link --from=one /o /x',
    'COPY --link --chown=7:8 --from=one /o/deep/1 /x/deep/2',
  ],
}

/** A file of the context: its text, or what else it is. */
export type ContextFile =
  | string
  | { readonly text: string; readonly executable: true }
  | { readonly link: string }

/** The context of every build, below `context/`, and the named context `more`, below `more/`. */
export const contextFiles: Readonly<Record<string, ContextFile>> = {
  'context/.dockerignore': 'ignored\n',
  'context/ignored': 'never seen\n',
  'context/src/main.c': 'int main(void) { return 0; }\n',
  'context/src/lib/util.c': 'int util;\n',
  'context/src/run': { text: '#!/bin/sh\n', executable: true },
  'context/data/a.txt': 'a\n',
  'context/data/b.txt': '',
  'context/data/numbers': Array.from({ length: 50_000 }, (_, at) => `${(at * at) % 65_521}\n`).join(''),
  'context/data/link': { link: 'a.txt' },
  'context/data/ünïcode': 'x\n',
  'more/first': '1\n',
  'more/second/third': '3\n',
}
