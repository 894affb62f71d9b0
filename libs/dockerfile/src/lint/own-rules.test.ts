// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are substitutions of a Dockerfile
import { describe, expect, it } from 'vitest'
import { parseDockerfile } from '../parse.ts'
import { lint } from './lint.ts'
import { createLinter } from './linter.ts'

/** The rules that find something. */
function rules(text: string, buildArgs: Readonly<Record<string, string>> = {}): readonly string[] {
  return lint(parseDockerfile(text, 'Dockerfile'), { buildArgs }).map(({ rule }) => rule)
}

function messages(text: string, buildArgs: Readonly<Record<string, string>>): string {
  return lint(parseDockerfile(text, 'Dockerfile'), { buildArgs })
    .map(({ message }) => message)
    .join('\n')
}

describe('HeredocWithoutErrexit', () => {
  const heredoc = (...lines: readonly string[]) => ['RUN <<EOF', ...lines, 'EOF'].join('\n')
  it.each([
    ['two commands', `FROM a\n${heredoc('make', 'make install')}`],
    ['commands after a comment', `FROM a\n${heredoc('# build', 'cd /src', '', 'make')}`],
    ['commands in a loop', `FROM a\n${heredoc('for i in 1 2; do', '  make $i', 'done')}`],
    ['a shell without -e', `FROM a\nSHELL ["/bin/bash", "-o", "pipefail", "-c"]\n${heredoc('make', 'x')}`],
    ['set without e', `FROM a\n${heredoc('set -ux', 'make', 'x')}`],
  ])('finds %s', (_, text) => {
    expect(rules(text)).toEqual(['HeredocWithoutErrexit'])
  })

  it.each([
    ['one command', `FROM a\n${heredoc('make install')}`],
    ['one command over several lines', `FROM a\n${heredoc('apt-get update && \\', '  apt-get install x')}`],
    ['a chain', `FROM a\n${heredoc('make &&', 'make install')}`],
    ['set -e', `FROM a\n${heredoc('set -e', 'make', 'make install')}`],
    ['set -eux', `FROM a\n${heredoc('set -eux', 'make', 'make install')}`],
    ['set -Eeuo pipefail', `FROM a\n${heredoc('set -Eeuo pipefail', 'make', 'x')}`],
    ['set -x -e', `FROM a\n${heredoc('set -x -e', 'make', 'x')}`],
    ['set -o errexit', `FROM a\n${heredoc('set -o errexit', 'make', 'x')}`],
    ['SHELL with -e', `FROM a\nSHELL ["/bin/bash", "-e", "-c"]\n${heredoc('make', 'x')}`],
    [
      'SHELL with -euo pipefail',
      `FROM a\nSHELL ["/bin/bash", "-euo", "pipefail", "-c"]\n${heredoc('m', 'x')}`,
    ],
    ['SHELL of the stage below', `FROM a AS b\nSHELL ["/bin/sh", "-ec"]\nFROM b\n${heredoc('m', 'x')}`],
    ['SHELL that is no shell', `FROM a\nSHELL ["/usr/bin/python3", "-c"]\n${heredoc('a', 'b')}`],
    ['an interpreter of its own', `FROM a\n${heredoc('#!/usr/bin/env python3', 'a', 'b')}`],
    ['a script for another program', 'FROM a\nRUN python3 <<EOF\na\nb\nEOF'],
    ['a file', 'FROM a\nRUN cat <<EOF >/etc/x\na\nb\nEOF'],
    ['a file within a heredoc', `FROM a\n${heredoc('cat >/etc/x <<END', 'a', 'b', 'END')}`],
    ['what cannot fail', `FROM a\n${heredoc('NAME=x', 'export B="y z"', 'echo start', 'make $NAME')}`],
    ['failures that are handled', `FROM a\n${heredoc('cd /src || exit 1', 'make')}`],
  ])('is content with %s', (_, text) => {
    expect(rules(text)).toEqual([])
  })

  it('knows the SHELL of the base image', () => {
    const dockerfile = parseDockerfile(`FROM a\n${heredoc('make', 'x')}\nCMD x`, 'Dockerfile')
    const found = (shell: readonly string[] | undefined) => {
      const linter = createLinter(dockerfile, undefined)
      linter.runTextRules({ buildArgs: {}, baseShell: () => shell })
      return linter.warnings().map(({ rule }) => rule)
    }
    expect(found(undefined)).toEqual(['HeredocWithoutErrexit', 'JSONArgsRecommended'])
    expect(found(['/bin/sh', '-e', '-c'])).toEqual([])
  })
})

describe('AptGetUpdateAlone', () => {
  it.each([
    'RUN apt-get update',
    'RUN apt update -y',
    'RUN apt-get update && rm -rf /var/lib/apt/lists/*',
    'RUN sudo apt-get -qq update; echo done',
    'RUN dpkg --add-architecture i386 && DEBIAN_FRONTEND=noninteractive apt-get update',
    'RUN ["apt-get", "update"]',
    'RUN ["/bin/sh", "-c", "apt-get update"]',
    'RUN <<EOF\nset -e\napt-get update\nEOF',
  ])('finds %j', (run) => {
    expect(rules(`FROM a\n${run}`)).toEqual(['AptGetUpdateAlone'])
  })

  it.each([
    'RUN apt-get update && apt-get install -y curl',
    'RUN apt-get update \\\n && apt-get upgrade -y',
    'RUN <<EOF\nset -e\napt-get update\napt-get install -y curl\nEOF',
    'RUN apt-get update && ./install-packages.sh',
    'RUN apt-get update && xargs -a packages apt-get install -y',
    'RUN --mount=type=cache,target=/var/lib/apt apt-get update',
    'RUN bash <<EOF\napt-get update && apt-get install -y x\nEOF',
    "RUN echo 'apt-get update'",
    'RUN npm update',
  ])('is content with %j', (run) => {
    expect(rules(`FROM a\n${run}`)).toEqual([])
  })
})

describe('CopyBeforeInstall', () => {
  it.each([
    ['COPY . .', 'RUN npm ci'],
    ['COPY . /app/', 'RUN cd web && npm --prefix x ci && npm run build'],
    ['ADD ./ /app', 'RUN npm install'],
    ['COPY ./* /app/', 'RUN pip3 install --no-cache-dir -r requirements.txt'],
    ['COPY . .', 'RUN python3 -m pip install -r requirements.txt'],
    ['COPY . .', 'RUN bundle install'],
    ['COPY . .', 'RUN go mod download'],
    ['COPY . .', 'RUN cargo fetch'],
    ['COPY . .', 'RUN apt-get update && apt-get install -y git'],
    ['COPY . .', 'RUN yarn'],
    ['COPY . .', 'RUN ["npm", "ci"]'],
    ['COPY . .', 'RUN <<EOF\nset -e\nnpm ci\nEOF'],
  ])('finds %j before %j', (copy, run) => {
    expect(rules(`FROM a\n${copy}\n${run}`)).toEqual(['CopyBeforeInstall'])
  })

  it.each([
    ['the installation first', 'COPY package.json .\nRUN npm ci\nCOPY . .\nRUN npm run build'],
    ['an installation that is repeated', 'COPY package.json .\nRUN npm ci\nCOPY . .\nRUN npm ci --omit=dev'],
    ['some files', 'COPY package.json src .\nRUN npm ci'],
    ['files of another stage', 'COPY --from=b . .\nRUN npm ci'],
    ['a part of the context', 'COPY --exclude=src . .\nRUN npm ci'],
    ['a script of the project', 'COPY . .\nRUN npm run ci && yarn run install && go run ./download'],
    ['the project itself', 'COPY . .\nRUN pip install .'],
    ['the project itself, editable', 'COPY . .\nRUN pip install -e .[dev]'],
    ['a local package', 'COPY . .\nRUN apt-get install -y ./x.deb'],
    ['a cache mount', 'COPY . .\nRUN --mount=type=cache,target=/root/.npm npm ci'],
    ['no installation', 'COPY . .\nRUN go build ./...'],
    ['another stage', 'COPY . .\nFROM a\nRUN npm ci'],
    ['a word in quotes', "COPY . .\nRUN echo 'npm ci'"],
  ])('is content with %s', (_, text) => {
    expect(rules(`FROM a\n${text}`)).toEqual([])
  })
})

describe('SecretInBuildArg', () => {
  const token = `ghp_${'a1B2'.repeat(9)}`
  it.each([
    ['NPM_TOKEN', 'x'],
    ['CONFIG', token],
    ['CONFIG', '-----BEGIN OPENSSH PRIVATE KEY-----\nabc'],
    ['CONFIG', 'https://me:hunter2@host.example/repo.git'],
  ])('finds %s=%s and does not say the value', (name, value) => {
    expect(rules(`FROM a\nARG ${name}`, { [name]: value })).toContain('SecretInBuildArg')
    expect(messages(`FROM a\nARG ${name}`, { [name]: value })).not.toContain(value)
  })

  it.each([
    ['VERSION', '1.2.3'],
    ['URL', 'https://host.example:8080/x@y'],
    ['KEY_FILE', '/run/key'],
    ['NPM_TOKEN', ''],
  ])('is content with %s=%s', (name, value) => {
    expect(rules(`FROM a\nARG ${name}`, { [name]: value })).not.toContain('SecretInBuildArg')
  })

  it('is content with an argument that no ARG declares: it is in no layer', () => {
    expect(rules('FROM a', { HTTP_PROXY: 'http://me:hunter2@proxy' })).toEqual([])
  })
})

describe('createLinter()', () => {
  it('leaves out what stands in stages that are not wanted', () => {
    const text = 'ARG token\nFROM a AS One\nFROM b as two\nRUN x \\\n\n y'
    const dockerfile = parseDockerfile(text, 'Dockerfile')
    const linter = createLinter(dockerfile, undefined)
    linter.runTextRules({ buildArgs: {}, baseShell: () => undefined })
    const found = (...indexes: readonly number[]) =>
      linter
        .warnings(new Set(dockerfile.stages.filter(({ index }) => indexes.includes(index))))
        .map(({ rule }) => rule)
    expect(found(0)).toEqual(['SecretsUsedInArgOrEnv', 'StageNameCasing'])
    expect(found(1)).toEqual(['SecretsUsedInArgOrEnv', 'FromAsCasing', 'NoEmptyContinuation'])
  })

  it('skips an empty continuation by the comment above its instruction', () => {
    const text = 'FROM a\n# check=skip=NoEmptyContinuation\nRUN x \\\n\n y\nRUN x \\\n\n y'
    const found = lint(parseDockerfile(text, 'Dockerfile'))
    expect(found.map(({ source }) => source?.startLine)).toEqual([7])
  })

  it('counts the same finding once', () => {
    const dockerfile = parseDockerfile('FROM a\nCOPY $x $x /', 'Dockerfile')
    const linter = createLinter(dockerfile, undefined)
    const instruction = dockerfile.instructions[1] ?? null
    linter.report('UndefinedVar', { instruction, message: 'm' })
    linter.report('UndefinedVar', { instruction, message: 'm' })
    expect(linter.warnings()).toHaveLength(1)
  })

  it('takes no time worth a word for lines that no person writes', () => {
    const hostile = ['$('.repeat(30_000), '"\\'.repeat(30_000), 'apt '.repeat(15_000), '`'.repeat(60_000)]
    for (const line of hostile) expect(rules(`FROM a\nRUN <<EOF\n${line}\n${line}\nEOF`)).toBeDefined()
  })
})
