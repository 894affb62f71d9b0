export type { ProxySettings, RetrySettings, TimeoutSettings } from '@tsbuild/http'
export { createRegistryClient } from './client.ts'
export type { AskHelper } from './credential-helper.ts'
export { askCredentialHelper, tellCredentialHelper } from './credential-helper.ts'
export { dockerConfigCredentials, firstCredentials } from './docker-config.ts'
export type { ConfigEdit } from './edit-docker-config.ts'
export { editDockerConfig } from './edit-docker-config.ts'
export { isBlobUnknown, isPreconditionFailed } from './failures.ts'
export { fileSink } from './file-sink.ts'
export type { HostCertificates, MirrorRule, RegistryHosts, RegistryRule, Trust } from './hosts.ts'
export { noHosts } from './hosts.ts'
export type {
  BlobSink,
  CallOptions,
  CredentialProvider,
  Credentials,
  FoundRepository,
  LoginOutcome,
  PutManifestOptions,
  ReferrersOptions,
  RegistryClient,
  RegistryClientOptions,
  ResolvedManifest,
  ResolveOptions,
  SearchOptions,
  TransferOptions,
  TransferProgress,
  UploadOptions,
  UploadOutcome,
} from './types.ts'
export type { TagRound, TagUpdate, UpdateClock } from './update-tag.ts'
export { maxUpdateRounds, updateTag } from './update-tag.ts'
