import {
  address,
  age,
  duration,
  type Form,
  httpUrl,
  list,
  path,
  size,
  space,
  text,
  urlPath,
  whole,
  word,
  yes,
} from './forms.ts'

/** One setting: a key of the configuration file, a variable of the environment, and a flag. */
export interface Setting<T = unknown> {
  readonly form: Form<T>
  /** One sentence without a full stop. Shown by `--help` and in docs/reference/cache-server.md. */
  readonly summary: string
  /** As it would be written; absent: not set. */
  readonly fallback?: string
  /** What is secret is no flag: command lines are seen by every process of the machine. */
  readonly isSecret?: true
  /** Lists of objects stand in the file alone. */
  readonly isFileOnly?: true
}

/** As {@link Setting} with a value that is there always. */
type Always<T> = Setting<T> & { readonly fallback: string }

const setting = <T>(form: Form<T>, summary: string, more: Omit<Setting<T>, 'form' | 'summary'> = {}) => ({
  form,
  summary,
  ...more,
})
const always = <T>(form: Form<T>, fallback: string, summary: string): Always<T> => ({
  form,
  summary,
  fallback,
})

/**
 * Every setting there is, in the order of the reference: `gc.maxSize` is `maxSize` in the section `gc` of the file, the variable
 * `TSBUILD_CACHE_SERVER_GC_MAX_SIZE` and the flag `--gc-max-size`. A test compares docs/reference/cache-server.md with it.
 */
const settingRows = {
  dir: setting(path, 'Where everything is kept; made where it is not there'),
  listen: always(list(address), '127.0.0.1:7070', 'Where to listen: `HOST:PORT` or `unix:/path`; repeatable'),
  publicUrl: setting(httpUrl, 'What clients call this server, where that is not its address: behind a proxy'),
  basePath: always(urlPath, '/', 'The path below which everything is served'),
  shutdownTimeout: always(duration, '30s', 'How long requests under way may take when the server ends'),

  auth: setting(
    word('tokens', 'none'),
    'Who may do what: `tokens` as they say, `none` everybody everything. Not set: `none` where only this machine can ask',
  ),
  insecure: setting(yes, 'Listen on a public address although everybody may do everything there'),
  publicRead: setting(yes, 'Everybody may read, without a token'),
  publicReadScopes: always(
    list(text),
    'local:ref/main',
    'Scopes of records that everybody may read with `publicRead`; repeatable',
  ),
  publicMetrics: setting(yes, 'Everybody may read `/metrics`; otherwise it needs the operation `admin`'),
  oidc: setting(text, 'Issuers whose tokens of CI jobs are exchanged for ours, and the rules', {
    isFileOnly: true,
  }),

  'tls.certificate': setting(path, 'PEM file with the certificate and those between it and its authority'),
  'tls.key': setting(path, 'PEM file with its private key'),

  engine: always(
    word('fs', 'oci'),
    'fs',
    'Where objects are kept: `fs` in the directory, `oci` in a registry',
  ),
  'oci.repository': setting(text, 'The repository, `registry.example/team/cache`'),
  'oci.plainHttp': setting(yes, 'Reach the registry without TLS'),
  'oci.username': setting(text, 'The user'),
  'oci.password': setting(text, 'The password', { isSecret: true }),

  'limits.connections': always(whole(1), '1024', 'Connections at once'),
  'limits.requests': always(whole(1), '256', 'Requests at once; others are answered 503'),
  'limits.headersTimeout': always(duration, '10s', 'Until the head of a request is there'),
  'limits.idleTimeout': always(duration, '30s', 'Without a byte, in a request or between two'),
  'limits.blobSize': always(size, '64g', 'The largest blob'),
  'limits.uploads': always(whole(1), '4096', 'Uploads under way at once'),
  'limits.uploadsPerToken': always(whole(1), '256', 'The same of one token'),
  'limits.uploadAge': always(age, '24h', 'After which an upload that was left is forgotten'),
  'limits.minFree': always(size, '256m', 'How much of the disk stays free: uploads beyond are answered 507'),
  'limits.records': always(whole(1), '1000000', 'Records of steps: new ones beyond are answered 507'),
  'limits.recordsPerScope': always(whole(1), '200000', 'The same of one scope'),

  'quota.requestsPerSecond': always(whole(1), '2000', 'Requests a second of one token, in the long run'),
  'quota.burst': always(whole(1), '120000', 'How many of them may come at once'),
  'quota.tokenBytes': always(size, '1t', 'What may be sent under one token that says nothing of it itself'),

  'gc.interval': always(duration, '10m', 'How often it is looked for what may go'),
  'gc.maxSize': always(space, '80%', 'Above it, what was used longest ago goes'),
  'gc.grace': always(age, '1h', 'How long what was just sent or handed out stays whatever happens'),
  'gc.recordAge': always(age, '30d', 'After which a record that nobody asked for goes'),
  'gc.pullRequestAge': always(age, '7d', 'The same for records of pull requests'),

  'scrub.perDay': always(space, '50g', 'How much is read again and compared with its digest each day'),

  'log.level': always(word('debug', 'info', 'warn', 'error'), 'info', 'The least that is logged'),
  'log.format': always(
    word('auto', 'json', 'text'),
    'auto',
    'JSON lines, or text for people: `auto` by whether it is a terminal',
  ),
  'log.access': always(yes, 'true', 'Whether each request is logged'),
} as const satisfies Record<string, Setting>

/** A key of the configuration. */
export type SettingKey = keyof typeof settingRows

type ValueOf<Row> = Row extends Always<infer T> ? T : Row extends Setting<infer T> ? T | undefined : never

/** The values of all settings, checked each by itself. */
export type SettingValues = { readonly [Key in SettingKey]: ValueOf<(typeof settingRows)[Key]> }

/** All keys, in order. */
export const settingKeys = Object.keys(settingRows) as readonly SettingKey[]

/** The row of a key, without its type. */
export function rowOf(key: SettingKey): Setting {
  return settingRows[key]
}

const words = (key: string): readonly string[] =>
  key.split('.').flatMap((part) => part.split(/(?=[A-Z])/).map((one) => one.toLowerCase()))

/** `--gc-max-size`; undefined for what is no flag. */
export function flagOf(key: SettingKey): string | undefined {
  const row = rowOf(key)
  if (row.isSecret === true || row.isFileOnly === true) return undefined
  return `--${words(key).join('-')}`
}

/** `TSBUILD_CACHE_SERVER_GC_MAX_SIZE`; undefined for what stands in the file alone. */
export function variableOf(key: SettingKey): string | undefined {
  if (rowOf(key).isFileOnly === true) return undefined
  return `${variablePrefix}${words(key).join('_').toUpperCase()}`
}

/** What all variables of the server begin with. */
export const variablePrefix = 'TSBUILD_CACHE_SERVER_'
