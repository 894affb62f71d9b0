import type { RegistryConfig } from './types.ts'

/**
 * Puts what several files say together, the most important first. Of rules with the same prefix the first counts alone: what
 * two files say about one registry is not mixed. Insecure hosts add up, and so do certificates.
 */
export function mergeConfigs(configs: readonly RegistryConfig[]): RegistryConfig {
  return {
    rules: configs.flatMap(({ rules }) => rules),
    insecure: configs.flatMap(({ insecure }) => insecure),
    searchIn: configs.find(({ searchIn }) => searchIn !== undefined)?.searchIn,
    files: configs.flatMap(({ files }) => files),
  }
}
