import { type DiffId, isDigest, parseDiffId } from '@tsbuild/digest'
import { readPlatform, sortedMap } from './descriptor.ts'
import {
  type JsonNode,
  member,
  optional,
  parseJsonObject,
  readBoolean,
  readInteger,
  readList,
  readSet,
  readString,
  readStrings,
  readTextMap,
  wrongType,
} from './json-document.ts'
import { jsonBytes } from './manifest.ts'
import type { Healthcheck, HistoryEntry, ImageConfig, RuntimeConfig } from './types.ts'

/**
 * Parses an image config, OCI's or Docker's. Members that tsbuild does not know are left out.
 *
 * @throws {UserError} `ERR_MANIFEST_INVALID`
 * @see https://github.com/opencontainers/image-spec/blob/main/config.md
 */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const document = parseJsonObject(bytes, 'image config')
  const text = (name: string) => optional(member(document, name), readString)
  const rootfs = member(document, 'rootfs')
  return {
    created: text('created'),
    author: text('author') || undefined,
    platform: readPlatform(document),
    config: optional(member(document, 'config'), readRuntimeConfig) ?? {},
    diffIds: optional(member(rootfs, 'diff_ids'), readDiffIds) ?? [],
    history: (optional(member(document, 'history'), readList) ?? []).map(readHistory),
  }
}

/**
 * The bytes of an image config: the same value always gives the same bytes. Readable by OCI tools and by Docker, whose
 * health check, shell and triggers are among the members.
 *
 * @param members others, behind those of the image
 */
export function serializeImageConfig(
  image: ImageConfig,
  members: Readonly<Record<string, unknown>> = {},
): Buffer {
  return jsonBytes({
    created: image.created,
    author: image.author,
    architecture: image.platform.architecture,
    os: image.platform.os,
    'os.version': image.platform.osVersion,
    variant: image.platform.variant,
    config: runtimeConfigToJson(image.config),
    rootfs: { type: 'layers', diff_ids: image.diffIds },
    history: image.history.map(historyToJson),
    ...members,
  })
}

function readDiffIds(node: JsonNode): readonly DiffId[] {
  return readList(node).map((item) => {
    const text = readString(item)
    if (!isDigest(text)) throw wrongType(item, 'sha256: and 64 lowercase hex digits')
    return parseDiffId(text)
  })
}

function readHistory(node: JsonNode): HistoryEntry {
  const text = (name: string) => optional(member(node, name), readString)
  return {
    created: text('created'),
    createdBy: text('created_by'),
    author: text('author') || undefined,
    comment: text('comment') || undefined,
    emptyLayer: optional(member(node, 'empty_layer'), readBoolean) || undefined,
  }
}

function historyToJson(entry: HistoryEntry): object {
  return {
    created: entry.created,
    created_by: entry.createdBy,
    author: entry.author,
    comment: entry.comment,
    empty_layer: entry.emptyLayer === true ? true : undefined,
  }
}

/** Go writes empty texts and lists for what is not set; they mean the same as their absence. */
function readRuntimeConfig(node: JsonNode): RuntimeConfig {
  const text = (name: string) => optional(member(node, name), readString) || undefined
  const filled = <T extends { readonly length: number }>(list: T | undefined) =>
    list === undefined || list.length === 0 ? undefined : list
  const list = (name: string) => filled(optional(member(node, name), readStrings))
  const set = (name: string) => filled(optional(member(node, name), readSet))
  const labels = optional(member(node, 'Labels'), readTextMap)
  return {
    user: text('User'),
    exposedPorts: set('ExposedPorts'),
    env: list('Env'),
    entrypoint: list('Entrypoint'),
    cmd: list('Cmd'),
    volumes: set('Volumes'),
    workingDir: text('WorkingDir'),
    labels: labels === undefined || Object.keys(labels).length === 0 ? undefined : labels,
    stopSignal: text('StopSignal'),
    healthcheck: optional(member(node, 'Healthcheck'), readHealthcheck),
    shell: list('Shell'),
    onBuild: list('OnBuild'),
  }
}

function readHealthcheck(node: JsonNode): Healthcheck {
  const integer = (name: string) => optional(member(node, name), readInteger) || undefined
  return {
    test: optional(member(node, 'Test'), readStrings),
    intervalNs: integer('Interval'),
    timeoutNs: integer('Timeout'),
    startPeriodNs: integer('StartPeriod'),
    startIntervalNs: integer('StartInterval'),
    retries: integer('Retries'),
  }
}

function runtimeConfigToJson(config: RuntimeConfig): object {
  return {
    User: config.user,
    ExposedPorts: setToJson(config.exposedPorts),
    Env: config.env,
    Entrypoint: config.entrypoint,
    Cmd: config.cmd,
    Volumes: setToJson(config.volumes),
    WorkingDir: config.workingDir,
    Labels: config.labels === undefined ? undefined : sortedMap(config.labels),
    StopSignal: config.stopSignal,
    Healthcheck: config.healthcheck === undefined ? undefined : healthcheckToJson(config.healthcheck),
    OnBuild: config.onBuild,
    Shell: config.shell,
  }
}

function healthcheckToJson(check: Healthcheck): object {
  return {
    Test: check.test,
    Interval: check.intervalNs,
    Timeout: check.timeoutNs,
    StartPeriod: check.startPeriodNs,
    StartInterval: check.startIntervalNs,
    Retries: check.retries,
  }
}

function setToJson(names: readonly string[] | undefined): object | undefined {
  if (names === undefined || names.length === 0) return undefined
  return Object.fromEntries([...names].sort().map((name) => [name, {}]))
}
