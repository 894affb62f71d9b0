export type { ProxySettings, RetrySettings, TimeoutSettings } from '@tsbuild/http'
export { createRegistryClient } from './client.ts'
export type { AskHelper } from './credential-helper.ts'
export { askCredentialHelper } from './credential-helper.ts'
export { dockerConfigCredentials } from './docker-config.ts'
export { isBlobUnknown } from './failures.ts'
export { fileSink } from './file-sink.ts'
export type {
  BlobSink,
  CallOptions,
  CredentialProvider,
  Credentials,
  LoginOutcome,
  ReferrersOptions,
  RegistryClient,
  RegistryClientOptions,
  ResolvedManifest,
  ResolveOptions,
  TransferOptions,
  TransferProgress,
  UploadOptions,
  UploadOutcome,
} from './types.ts'
