import { present } from './definition.ts'
import { buildTypes, type Facts, factsOf } from './predicate.ts'
import type { BuildDescription, Provenance, ProvenanceOptions } from './types.ts'

/**
 * Says what an image was made of and how. The same build gives the same predicate, but for its times and its id, which `timeless`
 * leaves out. Values of arguments that are called like secrets or look like one, proxies and the credentials of URLs are in none.
 *
 * @see https://slsa.dev/spec/v1.1/provenance, https://slsa.dev/spec/v0.2/provenance
 * @see spec/interface.md 5.2, spec/security.md SEC-03
 */
export function createProvenance(build: BuildDescription, options: ProvenanceOptions): Provenance {
  const facts = factsOf(build, options)
  switch (options.version) {
    case 'v1':
      return { predicateType: 'https://slsa.dev/provenance/v1', predicate: predicateV1(facts) }
    case 'v0.2':
      return { predicateType: 'https://slsa.dev/provenance/v0.2', predicate: predicateV02(facts) }
  }
}

function predicateV1(facts: Facts): Readonly<Record<string, unknown>> {
  const { builderPlatform, buildConfig, invocationId, startedOn, finishedOn } = facts
  return {
    buildDefinition: {
      buildType: buildTypes.v1,
      externalParameters: { configSource: facts.configSource, request: facts.request },
      internalParameters: present({ builderPlatform, buildConfig }),
      resolvedDependencies: facts.materials,
    },
    runDetails: {
      builder: { id: facts.builderId },
      metadata: present({
        invocationID: invocationId,
        startedOn,
        finishedOn,
        buildkit_metadata: facts.metadata,
        buildkit_hermetic: facts.hermetic,
        buildkit_completeness: {
          request: facts.complete.request,
          resolvedDependencies: facts.complete.materials,
        },
        buildkit_reproducible: facts.reproducible,
      }),
    },
  }
}

function predicateV02(facts: Facts): Readonly<Record<string, unknown>> {
  const { path, ...source } = facts.configSource
  return present({
    builder: { id: facts.builderId },
    buildType: buildTypes['v0.2'],
    materials: facts.materials,
    invocation: {
      configSource: { ...source, entryPoint: path },
      parameters: facts.request,
      environment: { platform: facts.builderPlatform },
    },
    buildConfig: facts.buildConfig,
    metadata: present({
      buildInvocationID: facts.invocationId,
      buildStartedOn: facts.startedOn,
      buildFinishedOn: facts.finishedOn,
      completeness: {
        parameters: facts.complete.request,
        environment: true,
        materials: facts.complete.materials,
      },
      reproducible: facts.reproducible,
      'https://mobyproject.org/buildkit@v1#hermetic': facts.hermetic,
      'https://mobyproject.org/buildkit@v1#metadata': facts.metadata,
    }),
  })
}
