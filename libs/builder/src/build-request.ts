import { isSecretValue, looksSecret } from '@tsbuild/dockerfile'
import { durationText, redact } from '@tsbuild/errors'
import type { Ulimit } from '@tsbuild/graph'
import type { BuildRequest } from '@tsbuild/history'
import { annotationText, outputText } from './output-text.ts'
import type { StepLimits } from './run-types.ts'
import type { BuildOptions } from './types.ts'

/** Longer values are cut: they are shown and not used again. In characters. */
const longestValue = 1000

/**
 * What a build was asked for, as its history shows it. Of secrets and agents only the ids are in it, of credentials in URLs
 * nothing, and of a build argument that has the name or the form of a secret only the name.
 */
export function requestOf(options: BuildOptions): BuildRequest {
  const { context, dockerfile, target, tags = [] } = options
  return {
    context: redact(context),
    dockerfile: dockerfile === undefined ? null : redact(dockerfile),
    target: target ?? null,
    tags,
    flags: [...whatFlags(options), ...cacheFlags(options), ...runFlags(options), ...outputFlags(options)],
  }
}

function whatFlags({ platforms, buildContexts = {}, buildArgs = {}, labels = {} }: BuildOptions) {
  return [
    ...given('--platform', platforms?.join(',')),
    ...pairs('--build-context', buildContexts),
    ...pairs('--build-arg', buildArgs),
    ...pairs('--label', labels),
  ]
}

function cacheFlags({ noCache, noCacheFilter = [], pull }: BuildOptions) {
  return [
    ...(noCache === true ? ['--no-cache'] : []),
    ...noCacheFilter.map((stage) => `--no-cache-filter ${stage}`),
    ...(pull === true ? ['--pull'] : []),
  ]
}

function runFlags(options: BuildOptions): readonly string[] {
  const {
    secrets = {},
    ssh = {},
    allow = [],
    addHosts = [],
    ulimits = [],
    timeoutMs,
    stepTimeoutMs,
  } = options
  const time = (flag: string, ms: number | undefined) => given(flag, ms === undefined ? ms : durationText(ms))
  return [
    ...Object.keys(secrets).map((id) => `--secret id=${id}`),
    ...Object.keys(ssh).map((id) => `--ssh ${id}`),
    ...given('--network', options.network),
    ...addHosts.map((host) => `--add-host ${host}`),
    ...allow.map((entitlement) => `--allow ${entitlement}`),
    ...given('--security-opt', options.security),
    ...(options.noNewPrivileges === true ? ['--security-opt no-new-privileges'] : []),
    ...given('--userns', options.userns),
    ...limitFlags('', options.limits),
    ...limitFlags('--resource ', options.stepLimits),
    ...ulimits.map((limit) => `--ulimit ${ulimitText(limit)}`),
    ...given('--shm-size', options.shmSizeBytes),
    ...given('--cgroup-parent', options.cgroupParent),
    ...time('--timeout', timeoutMs),
    ...time('--step-timeout', stepTimeoutMs),
    ...given('--on-error', options.onError),
  ]
}

function ulimitText({ name, soft, hard }: Ulimit): string {
  return `${name}=${soft ?? -1}:${hard ?? -1}`
}

const limitNames: Readonly<Record<keyof StepLimits, string>> = {
  memoryBytes: 'memory',
  memorySwapBytes: 'memory-swap',
  cpuShares: 'cpu-shares',
  cpuPeriodMicros: 'cpu-period',
  cpuQuotaMicros: 'cpu-quota',
  cpusetCpus: 'cpuset-cpus',
  cpusetMems: 'cpuset-mems',
  pids: 'pids-limit',
  ioWeight: 'blkio-weight',
}

/** @param prefix of the flag that has them as `name=value`; empty for flags of their own */
function limitFlags(prefix: string, limits: StepLimits = {}): readonly string[] {
  const names = Object.keys(limitNames) as (keyof StepLimits)[]
  return names.flatMap((key) => {
    const value = limits[key]
    if (value === undefined) return []
    return [prefix === '' ? `--${limitNames[key]} ${value}` : `${prefix}${limitNames[key]}=${value}`]
  })
}

function outputFlags({ outputs = [], allowOutputs = [], annotations = [] }: BuildOptions) {
  return [
    ...outputs.map((output) => `--output ${cut(outputText(output))}`),
    ...allowOutputs.map((entitlement) => `--allow ${entitlement}`),
    ...annotations.map((annotation) => `--annotation ${cut(redact(annotationText(annotation)))}`),
  ]
}

function given(flag: string, value: string | number | undefined): readonly string[] {
  return value === undefined ? [] : [`${flag} ${cut(redact(String(value)))}`]
}

function pairs(flag: string, values: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(values).map(([name, value]) => {
    const isSecret = looksSecret(name) || isSecretValue(value)
    return `${flag} ${name}=${isSecret ? '***' : cut(redact(value))}`
  })
}

function cut(value: string): string {
  return value.length > longestValue ? `${value.slice(0, longestValue)}…` : value
}
