import { expect, it } from 'vitest'
import { parseContainerdHosts } from './containerd-hosts.ts'
import { parseDockerDaemon } from './docker-daemon.ts'
import { readOwnRegistries } from './own-config.ts'
import { parseRegistriesConf } from './registries-conf.ts'

const toml = `server = "https://a.io"
[host."https://mirror.example:5000"]
  capabilities = ["pull", "resolve"]
  ca = ["/a.pem"]
  client = [["/c.pem", "/k.pem"]]
  skip_verify = true
`
const daemon = '{"registry-mirrors":["https://m.example"],"insecure-registries":["a.io:5000","10.0.0.0/8"]}'
const own =
  '{"docker.io":{"mirrors":["https://m.example",{"location":"n.example","pull":"digest"}],"ca":["/x"]}}'

const readers = [
  ['hosts.toml', toml, (text: string) => parseContainerdHosts(text, 'a.io', 'f')],
  ['daemon.json', daemon, (text: string) => parseDockerDaemon(text, 'f')],
  ['config.json', own, (text: string) => readOwnRegistries(JSON.parse(text), 'f')],
] as const

/** Bytes that mean something in TOML, in JSON or in a host. */
const pieces = [
  '"',
  '[',
  ']',
  '{',
  '}',
  '=',
  '\\',
  '\u0000',
  '..',
  '/',
  '@',
  ':',
  '*',
  '\n',
  '1',
  'null',
  'é',
  '__proto__',
]

it.each(readers)('%s gives a value or ERR_CONFIG, whatever is done to it', (_, text, read) => {
  let state = 7
  const random = (below: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return Math.floor((state / 2_147_483_648) * below)
  }
  let refused = 0
  for (let round = 0; round < 3000; round++) {
    let changed: string = text
    for (let change = 0; change <= random(3); change++) {
      const at = random(changed.length)
      changed = `${changed.slice(0, at)}${pieces[random(pieces.length)]}${changed.slice(at + random(3))}`
    }
    try {
      const { rules, files } = read(changed)
      for (const { prefix, location, mirrors } of rules) {
        for (const place of [prefix, location ?? '', ...mirrors.map((mirror) => mirror.location)]) {
          expect(place).toMatch(/^[\w.*:/[\]@-]*$/)
          expect(place).not.toMatch(/\/\/|\/$/)
        }
      }
      expect(files.length).toBeLessThan(4)
    } catch (error) {
      if (error instanceof SyntaxError) continue
      expect(error).toMatchObject({ code: 'ERR_CONFIG' })
      refused++
    }
  }
  expect(refused).toBeGreaterThan(100)
})

it.each([
  ['hosts.toml', (text: string) => parseContainerdHosts(text, 'a.io', 'f')],
  ['registries.conf', (text: string) => parseRegistriesConf(text, 'f')],
  ['daemon.json', (text: string) => parseDockerDaemon(text, 'f')],
])('%s of any size ends at once', (_, read) => {
  for (const text of [
    '['.repeat(500_000),
    '{"a":'.repeat(200_000),
    'a.'.repeat(500_000),
    'x'.repeat(2_000_000),
  ]) {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }))
  }
})
