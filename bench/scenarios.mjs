// The scenarios of design.md 7 that a builder of today's feature set can run. Times are of the commands `measured` gives.
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { measureParse, prepareParse, printedSeconds } from './in-process.mjs'

/**
 * Every scenario:
 * - `runs`: how often it is measured
 * - `prepare(bench)`: makes the context of one builder and, with `bench.run`, whatever must have happened before
 * - `change(bench, round)`: what happens, unmeasured, before each run
 * - `measured(bench, round)`: the commands whose time is taken; undefined when the builder cannot do it
 * - `secondsOf(output)`: the time, where a command prints it itself
 * `bench` has `builder`, `context`, `tag`, `folder`, `registry`, and `run(command)`.
 */
export const scenarios = [
  {
    name: 'unchanged',
    title: 'nothing changed, small project',
    runs: 9,
    prepare: warmSmallProject,
    measured: (bench) => [bench.builder.build(bench)],
  },
  {
    name: 'unchanged-oci',
    title: 'the same + archive',
    runs: 7,
    prepare: warmSmallProject,
    measured: (bench) => bench.builder.buildToArchive({ ...bench, dest: freshPath(bench, 'image.tar') }),
  },
  {
    name: 'one-file',
    title: 'one source file changed, one RUN after it',
    runs: 9,
    prepare: warmSmallProject,
    change: (bench, round) => appendFileSync(join(bench.context, 'src/main.c'), `// ${round}\n`),
    measured: (bench) => [bench.builder.build(bench)],
  },
  {
    name: 'run-20',
    title: '20 trivial RUN steps',
    runs: 5,
    prepare: (bench) =>
      writeDockerfile(
        bench,
        numbered(20, (n) => `RUN echo ${n} > /${n}`),
      ),
    measured: (bench) => [bench.builder.build({ ...bench, noCache: true })],
  },
  {
    name: 'cached-200',
    title: '200 cached steps',
    runs: 7,
    async prepare(bench) {
      // Docker allows about 120 layers, so half of the steps make none.
      writeDockerfile(
        bench,
        numbered(100, (n) => `ENV N=${n}\nRUN true ${n}`),
      )
      await bench.run(bench.builder.build(bench))
    },
    measured: (bench) => [bench.builder.build(bench)],
  },
  {
    name: 'many-steps',
    title: '2,000 cached steps',
    runs: 5,
    async prepare(bench) {
      writeManySteps(bench)
      if (takesManySteps(bench)) await bench.run(bench.builder.build(bench))
    },
    measured: (bench) => (takesManySteps(bench) ? [bench.builder.build(bench)] : undefined),
  },
  {
    name: 'many-layers',
    title: 'one RUN after 2,000 cached steps',
    runs: 5,
    async prepare(bench) {
      writeManySteps(bench)
      if (takesManySteps(bench)) await bench.run(bench.builder.build(bench))
    },
    change: (bench, round) => writeManySteps(bench, `RUN echo ${round}`),
    measured: (bench) => (takesManySteps(bench) ? [bench.builder.build(bench)] : undefined),
  },
  {
    name: 'stages-4',
    title: '4 stages of 2 s',
    runs: 5,
    prepare: (bench) =>
      writeDockerfile(
        bench,
        [
          ...numbered(4, (n) => `FROM debian:bookworm AS s${n}\nRUN sleep 2 && echo ${n} > /${n}`),
          'FROM debian:bookworm',
          ...numbered(4, (n) => `COPY --from=s${n} /${n} /${n}`),
        ],
        '',
      ),
    measured: (bench) => [bench.builder.build({ ...bench, noCache: true })],
  },
  {
    name: 'copy-50k',
    title: 'COPY of 50,000 files (150 MB), first time',
    runs: 3,
    prepare: writeManyFiles,
    measured: (bench) => [bench.builder.build({ ...bench, noCache: true })],
  },
  {
    name: 'copy-50k-unchanged',
    title: 'the same, nothing changed',
    runs: 5,
    async prepare(bench) {
      writeManyFiles(bench)
      await bench.run(bench.builder.build(bench))
    },
    measured: (bench) => [bench.builder.build(bench)],
  },
  {
    name: 'select-50k',
    title: 'the same, through an ignore file of 100 rules',
    runs: 5,
    async prepare(bench) {
      writeManyFiles(bench)
      writeFileSync(join(bench.context, '.dockerignore'), hundredIgnoreRules())
      await bench.run(bench.builder.build(bench))
    },
    measured: (bench) => [bench.builder.build(bench)],
  },
  {
    name: 'copy-50k-edited',
    title: 'the same, one file edited',
    runs: 3,
    async prepare(bench) {
      writeManyFiles(bench)
      await bench.run(bench.builder.build(bench))
    },
    change: (bench, round) => writeFileSync(join(bench.context, 'many/7/42'), `edited ${round}\n`),
    measured: (bench) => [bench.builder.build(bench)],
  },
  {
    name: 'export-600',
    title: 'export of a 600 MB layer, gzip',
    runs: 3,
    prepare: (bench) => writeLayerOf(bench, 600),
    change: (bench, round) => bench.run(bench.builder.buildOnly({ ...bench, args: { ROUND: round } })),
    // `docker save` does not compress.
    measured: (bench, round) =>
      bench.builder.name.startsWith('docker')
        ? undefined
        : bench.builder.buildToArchive({
            ...bench,
            args: { ROUND: round },
            dest: freshPath(bench, 'image.tar'),
          }),
  },
  {
    name: 'push-150',
    title: 'push of a fresh 150 MB layer',
    runs: 3,
    prepare: (bench) => writeLayerOf(bench, 150),
    change: (bench, round) => bench.run(bench.builder.buildOnly({ ...bench, args: { ROUND: round } })),
    measured: (bench, round) =>
      bench.builder.push({ ...bench, tag: `${bench.registry}/${bench.tag}`, args: { ROUND: round } }),
  },
  {
    name: 'pull',
    title: 'pull and unpack of Debian, one RUN',
    runs: 3,
    async prepare(bench) {
      const name = `${bench.registry}/debian:bookworm`
      writeDockerfile(bench, ['LABEL bench=base'])
      for (const command of bench.builder.push({ ...bench, tag: name })) await bench.run(command)
      writeDockerfile(bench, [`FROM ${name}`, 'RUN echo pulled > /pulled'], '')
    },
    change: (bench) => bench.run(bench.builder.forget()),
    measured: (bench) => [(bench.builder.buildFromRegistry ?? bench.builder.build)(bench)],
    forgets: true,
  },
  {
    name: 'parse-20k',
    title: 'parse of 20,000 lines, in the process',
    runs: 9,
    prepare: (bench) => prepareParse(bench, manyLines(20_000)),
    measured: (bench) => measureParse(bench, 'parse'),
    secondsOf: printedSeconds,
  },
  {
    name: 'parse-graph',
    title: 'parse and graph of 300 instructions in 40 stages, in the process',
    runs: 9,
    prepare: (bench) => prepareParse(bench, manyStages(40)),
    measured: (bench) => measureParse(bench, 'graph'),
    secondsOf: printedSeconds,
  },
  {
    name: 'apt',
    title: 'apt-get install gcc make',
    runs: 2,
    prepare: (bench) =>
      writeDockerfile(bench, ['RUN apt-get update && apt-get install -y --no-install-recommends gcc make']),
    measured: (bench) => [bench.builder.build({ ...bench, noCache: true })],
  },
]

/** Every kind of line, again and again. */
function manyLines(count) {
  const piece = [
    '# what comes next',
    'ARG VERSION=1',
    'ENV PATH_OF="/opt/a b" NAME=$VERSION',
    'RUN echo "$NAME" && \\',
    '    # in between',
    '    true',
    'COPY --chown=1:1 a b /c/',
    'LABEL name="value"',
    'RUN <<EOF',
    'echo body',
    'EOF',
    '',
  ]
  const lines = Array.from({ length: count - 1 }, (_, index) => piece[index % piece.length])
  // Not in the middle of an instruction.
  lines.length -= lines.length % piece.length
  return ['FROM base', ...lines, ...numbered(count - 1 - lines.length, () => '# the rest')]
}

/** Stages of seven or eight instructions, each of which copies from the one before. */
function manyStages(count) {
  return numbered(count, (n) => [
    `FROM base AS s${n}`,
    'ARG VERSION=1',
    'ENV NAME=$VERSION',
    'WORKDIR /src',
    ...(n === 1 ? ['RUN true'] : [`COPY --from=s${n - 1} /src/a /src/b`]),
    'RUN make "$NAME"',
    'LABEL name="value"',
    ...(n % 2 === 0 ? ['EXPOSE 80'] : []),
  ]).flat()
}

const numbered = (count, line) => Array.from({ length: count }, (_, index) => line(index + 1))

function writeDockerfile(bench, lines, from = 'FROM debian:bookworm') {
  writeFileSync(join(bench.context, 'Dockerfile'), `${[from, ...lines].filter(Boolean).join('\n')}\n`)
}

async function warmSmallProject(bench) {
  mkdirSync(join(bench.context, 'src'), { recursive: true })
  for (let index = 0; index < 20; index += 1) {
    writeFileSync(join(bench.context, `src/file-${index}.c`), `int f${index}(void) { return ${index}; }\n`)
  }
  writeFileSync(join(bench.context, 'src/main.c'), 'int main(void) { return 0; }\n')
  writeDockerfile(bench, [
    'RUN echo tools > /tools',
    'WORKDIR /src',
    'COPY src ./',
    'RUN cat *.c > /all.c',
    'CMD ["true"]',
  ])
  await bench.run(bench.builder.build(bench))
}

/** Rules of each form, which hide a few hundred of the many files; the last ones let some of them through again. */
function hundredIgnoreRules() {
  const numbered = (count, rule) => Array.from({ length: count }, (_, index) => rule(index))
  return `${[
    ...numbered(20, (index) => `**/node_modules${index}`),
    ...numbered(20, (index) => `many/${index}x/**/*.log`),
    ...numbered(20, (index) => `**/*.tmp${index}`),
    ...numbered(20, (index) => `*.md${index}`),
    ...numbered(10, (index) => `many/${index}/4*`),
    ...numbered(10, (index) => `!many/${index}/42`),
  ].join('\n')}\n`
}

function writeManyFiles(bench) {
  for (let folder = 0; folder < 250; folder += 1) {
    mkdirSync(join(bench.context, 'many', String(folder)), { recursive: true })
    for (let file = 0; file < 200; file += 1) {
      writeFileSync(
        join(bench.context, 'many', String(folder), String(file)),
        `${folder}/${file} `.repeat(400).slice(0, 3000),
      )
    }
  }
  writeDockerfile(bench, ['COPY many /many'])
}

/** A step that writes one layer, half of it random: neither trivial nor impossible to compress. New for every ROUND. */
function writeLayerOf(bench, megabytes) {
  const half = megabytes / 2
  writeDockerfile(bench, [
    'ARG ROUND',
    `RUN echo "$ROUND" > /round && head -c ${half}M /dev/urandom > /random && (i=0; while [ $i -lt 40 ]; do cat /usr/bin/* /usr/lib/*/*.so*; i=$((i+1)); done) 2>/dev/null | head -c ${half}M > /programs`,
  ])
}

function writeManySteps(bench, last = 'RUN true') {
  writeDockerfile(bench, [...numbered(2000, (n) => `RUN true ${n}`), last])
}

/** Docker allows about 120 layers. */
function takesManySteps({ builder }) {
  return !builder.name.startsWith('docker')
}

function freshPath(bench, name) {
  const path = join(bench.folder, name)
  rmSync(path, { force: true })
  return path
}
