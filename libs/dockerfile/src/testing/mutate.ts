// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are substitutions of a Dockerfile
import type { Random } from './random.ts'

/** What the grammar gives a meaning to. */
const TOKENS: readonly string[] = [
  ...[
    'FROM a\n',
    'RUN ',
    'COPY ',
    'ADD ',
    'ENV ',
    'ARG ',
    'LABEL ',
    'CMD ',
    'ENTRYPOINT ',
    'EXPOSE ',
    'VOLUME ',
  ],
  ...[
    'USER ',
    'WORKDIR ',
    'SHELL ',
    'STOPSIGNAL ',
    'HEALTHCHECK ',
    'ONBUILD ',
    'MAINTAINER ',
    ' AS b',
    'NONE',
    'CMD',
  ],
  ...[
    ' ',
    '\t',
    '\n',
    '\r',
    '\r\n',
    '\u00a0',
    '\u2028',
    '\ufeff',
    '\0',
    '\x0b',
    '\\',
    '\\\n',
    '\\ \n',
    '\\\n#c\n',
    '\\\n\n',
  ],
  ...[
    '`',
    '`\n',
    '#',
    '# escape=`\n',
    '# syntax=x\n',
    '# check=skip=all\n',
    '"',
    "'",
    '"x y"',
    '=',
    'a=b',
    ',',
  ],
  ...[
    '$',
    '${',
    '}',
    '${a:-b c}',
    '${a#*}',
    '${a/',
    '$a',
    '<<',
    '<<EOF',
    '<<-E',
    "<<'E F'",
    '3<<E',
    '<',
    '\nEOF\n',
    '\n\tE\n',
  ],
  ...[
    '--',
    '--x',
    '--from=y',
    '--link',
    '--chown="a b"',
    '--mount=type=cache,target=/x',
    '--interval=1s',
    '--platform=$P',
  ],
  ...[
    '["a","b"]',
    '["a",1]',
    '[',
    ']',
    '{',
    'é',
    '日本',
    '😀',
    '\ud800',
    '\udcff',
    '80/tcp',
    '/',
    '.',
    '*',
    '?',
  ],
]

/** Changes to make to one text. */
const MAX_CHANGES = 4
const MAX_LENGTH = 20_000

function changeText(text: string, random: Random, others: readonly string[]): string {
  const at = random.below(text.length + 1)
  const end = Math.min(text.length, at + random.below(1 + random.pick([1, 4, 30, 300])))
  switch (random.below(6)) {
    case 0:
      return text.slice(0, at) + text.slice(end)
    case 1:
      return text.slice(0, end) + text.slice(at)
    case 2: {
      const other = random.pick(others)
      const from = random.below(other.length + 1)
      return text.slice(0, at) + other.slice(from, from + random.below(200)) + text.slice(end)
    }
    case 3: {
      const lines = text.split('\n')
      const line = lines.splice(random.below(lines.length), 1)
      lines.splice(random.below(lines.length + 1), 0, ...line)
      return lines.join('\n')
    }
    default:
      return text.slice(0, at) + random.pick(TOKENS) + text.slice(random.below(2) === 0 ? at : end)
  }
}

function changeByte(bytes: Uint8Array, random: Random): void {
  const at = random.below(bytes.length)
  const old = bytes[at] ?? 0
  bytes[at] = random.below(2) === 0 ? old ^ (1 << random.below(8)) : random.below(256)
}

/** Instructions that the grammar takes so far, for tokens to follow. */
const HEADS: readonly string[] = [
  ...[
    'RUN ',
    'run a',
    'RUN --mount=type=bind,target=/x ',
    'RUN --network=host\t',
    'COPY a b ',
    'COPY ',
    'ADD --link a ',
  ],
  ...[
    'ENV a=b ',
    'ENV ',
    'ARG ',
    'LABEL a=',
    'CMD ',
    'ENTRYPOINT ["a"]',
    'EXPOSE 80 ',
    'VOLUME ',
    'USER a',
    'WORKDIR /a',
  ],
  ...[
    'SHELL ["a"]',
    'HEALTHCHECK CMD ',
    'ONBUILD RUN ',
    'ONBUILD COPY ',
    'FROM a AS b',
    'FROM ',
    '# ',
    '\\\n',
    ' ',
  ],
]
const ENDS: readonly string[] = ['\n', '\n', '\n', '\r\n', '\nEOF\n', '\n\tE\n', '\nbody\nE F\n', '']

function composeText(random: Random): string {
  const line = () => {
    const tokens = Array.from({ length: random.below(4) }, () => random.pick(TOKENS))
    return random.pick(HEADS) + tokens.join('') + random.pick(ENDS)
  }
  const head = random.below(10) === 0 ? '# escape=`\n' : ''
  return `${head}FROM a\n${Array.from({ length: 1 + random.below(3) }, line).join('')}`
}

/**
 * Makes a text that differs from a seed by a few tokens, lines or bytes, or is put together from tokens alone. Bytes may end up
 * being no UTF-8.
 */
export function mutate(seeds: readonly Uint8Array[], random: Random): Uint8Array {
  const texts = seeds.map((seed) => Buffer.from(seed).toString())
  let text = random.below(3) === 0 ? composeText(random) : random.pick(texts)
  for (let count = random.below(MAX_CHANGES); count > 0; count--) text = changeText(text, random, texts)
  const bytes = Buffer.from(text.slice(0, MAX_LENGTH))
  if (bytes.length > 0 && random.below(8) === 0) changeByte(bytes, random)
  return bytes
}
