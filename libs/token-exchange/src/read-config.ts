import { UserError } from '@tsbuild/errors'
import { durationMs, isRecord, parseUrl } from '@tsbuild/shape'
import { compileGlob, type Operation } from '@tsbuild/trust'
import { isAllowed } from './fetch-json.ts'
import { githubIssuer, githubRules, type PresetOptions } from './github.ts'
import { gitlabIssuer, gitlabRules } from './gitlab.ts'
import { templateFault } from './template.ts'
import type { ExchangeRule, TrustedIssuer } from './types.ts'

type Json = Readonly<Record<string, unknown>>
const operations: readonly Operation[] = ['pull', 'push', 'delete', 'admin']
const defaultTtl = '1h'
const maxTtlMs = 24 * 3_600_000
const commonMembers = ['issuer', 'audience', 'keys', 'once'] as const
const presetMembers = ['preset', 'repositories', 'owners', 'defaultBranch', 'ttl', 'maxBytes'] as const
const ruleMembers = [
  'match',
  'read',
  'write',
  'operations',
  'repositories',
  'subject',
  'ttl',
  'maxBytes',
] as const

/**
 * Reads the configuration of the exchange: a list of issuers, each with rules of its own or a preset.
 *
 * @param value of the key `oidc`
 * @param name of the file, for errors
 * @throws {UserError} `ERR_CONFIG` that names the file and the member
 */
export function readExchangeConfig(value: unknown, name: string): readonly TrustedIssuer[] {
  const read = new Reader(name)
  const issuers = read.list(value, 'oidc').map((each, index) => {
    const at = `oidc[${index}]`
    return isRecord(each) && each.preset !== undefined ? readPreset(read, each, at) : readOwn(read, each, at)
  })
  for (const [index, { issuer }] of issuers.entries()) {
    if (issuers.findIndex((each) => each.issuer === issuer) < index)
      throw read.fault(`oidc[${index}].issuer`, 'another entry is of the same issuer')
  }
  return issuers
}

function readPreset(read: Reader, value: Json, at: string): TrustedIssuer {
  const entry = read.object(value, at, [...commonMembers, ...presetMembers])
  const { preset } = entry
  if (preset !== 'github' && preset !== 'gitlab')
    throw read.fault(`${at}.preset`, 'expected "github" or "gitlab"')
  const options: PresetOptions = {
    repositories: read.patterns(entry.repositories, `${at}.repositories`),
    owners: entry.owners === undefined ? undefined : read.patterns(entry.owners, `${at}.owners`),
    defaultBranch: read.text(entry.defaultBranch ?? 'main', `${at}.defaultBranch`),
    ttl: read.ttl(entry.ttl, `${at}.ttl`),
    maxBytes: read.size(entry.maxBytes, `${at}.maxBytes`),
  }
  const rules = preset === 'github' ? githubRules(options) : gitlabRules(options)
  const issuer = entry.issuer ?? (preset === 'github' ? githubIssuer : gitlabIssuer)
  return { ...readCommon(read, { ...entry, issuer }, at), rules }
}

function readOwn(read: Reader, value: unknown, at: string): TrustedIssuer {
  const entry = read.object(value, at, [...commonMembers, 'rules'])
  const rules = read.list(entry.rules, `${at}.rules`).map((each, index) => {
    return readRule(read, each, `${at}.rules[${index}]`)
  })
  return { ...readCommon(read, entry, at), rules }
}

function readCommon(read: Reader, entry: Json, at: string): Omit<TrustedIssuer, 'rules'> {
  const { audience, once = false } = entry
  if (typeof once !== 'boolean') throw read.fault(`${at}.once`, 'expected true or false')
  return {
    issuer: read.url(entry.issuer, `${at}.issuer`),
    audiences: read.texts(typeof audience === 'string' ? [audience] : audience, `${at}.audience`),
    keys: entry.keys === undefined ? undefined : read.url(entry.keys, `${at}.keys`),
    once,
  }
}

function readRule(read: Reader, value: unknown, at: string): ExchangeRule {
  const rule = read.object(value, at, ruleMembers)
  const match = Object.entries(read.object(rule.match, `${at}.match`)).map(([claim, patterns]) => {
    const list = typeof patterns === 'string' ? [patterns] : patterns
    return [claim, read.patterns(list, `${at}.match.${claim}`)] as const
  })
  if (match.length === 0) throw read.fault(`${at}.match`, 'a rule that fits every job of the issuer is none')
  const repositories = read.object(rule.repositories ?? {}, `${at}.repositories`, ['pull', 'push'])
  const template = (text: unknown, where: string): string => read.template(text, where)
  return {
    match: Object.fromEntries(match),
    read: read.list(rule.read ?? [], `${at}.read`).map((each, i) => template(each, `${at}.read[${i}]`)),
    write: rule.write === undefined ? undefined : template(rule.write, `${at}.write`),
    operations: read.operations(rule.operations ?? ['pull'], `${at}.operations`),
    repositories: {
      pull: read
        .list(repositories.pull ?? [], `${at}.repositories.pull`)
        .map((each, i) => template(each, `${at}.repositories.pull[${i}]`)),
      push: read
        .list(repositories.push ?? [], `${at}.repositories.push`)
        .map((each, i) => template(each, `${at}.repositories.push[${i}]`)),
    },
    subject: template(rule.subject ?? '{sub}', `${at}.subject`),
    ttl: read.ttl(rule.ttl, `${at}.ttl`),
    maxBytes: read.size(rule.maxBytes, `${at}.maxBytes`),
  }
}

/** Reads members; every fault names the file and the member. */
class Reader {
  readonly #name: string

  constructor(name: string) {
    this.#name = name
  }

  fault(at: string, why: string): UserError {
    return new UserError('ERR_CONFIG', `Cannot use configuration "${this.#name}": ${at}: ${why}`)
  }

  object(value: unknown, at: string, members?: readonly string[]): Json {
    if (!isRecord(value)) throw this.fault(at, 'expected an object')
    const unknown = Object.keys(value).find((name) => members?.includes(name) === false)
    if (unknown !== undefined) throw this.fault(`${at}.${unknown}`, `expected one of ${members?.join(', ')}`)
    return value
  }

  list(value: unknown, at: string): readonly unknown[] {
    if (!Array.isArray(value)) throw this.fault(at, 'expected a list')
    return value
  }

  text(value: unknown, at: string): string {
    if (typeof value !== 'string' || value === '') throw this.fault(at, 'expected a text')
    return value
  }

  texts(value: unknown, at: string): readonly string[] {
    const texts = this.list(value, at).map((each, index) => this.text(each, `${at}[${index}]`))
    if (texts.length === 0) throw this.fault(at, 'expected at least one')
    return texts
  }

  patterns(value: unknown, at: string): readonly string[] {
    const patterns = this.texts(value, at)
    for (const pattern of patterns) compileGlob(pattern)
    return patterns
  }

  template(value: unknown, at: string): string {
    const template = this.text(value, at)
    const fault = templateFault(template)
    if (fault !== undefined) throw this.fault(at, fault)
    return template
  }

  operations(value: unknown, at: string): readonly Operation[] {
    return this.texts(value, at).map((each, index) => {
      const operation = operations.find((known) => known === each)
      if (operation === undefined) throw this.fault(`${at}[${index}]`, `expected ${operations.join(', ')}`)
      return operation
    })
  }

  url(value: unknown, at: string): string {
    const text = this.text(value, at)
    const url = parseUrl(text)
    if (url === undefined || !isAllowed(url))
      throw this.fault(at, 'expected an https URL; http is for this machine only')
    return text
  }

  /** Seconds. */
  ttl(value: unknown, at: string): number {
    const ms = durationMs(this.text(value ?? defaultTtl, at))
    if (ms === undefined || ms < 60_000 || ms > maxTtlMs)
      throw this.fault(at, 'expected a time from 1m to 24h, for example 1h')
    return Math.floor(ms / 1000)
  }

  size(value: unknown, at: string): number | undefined {
    if (value === undefined) return undefined
    if (!Number.isSafeInteger(value) || Number(value) < 0) throw this.fault(at, 'expected a number of bytes')
    return Number(value)
  }
}
