export { createRegistryClient } from './client.ts'
export type { AskHelper } from './credential-helper.ts'
export { askCredentialHelper } from './credential-helper.ts'
export { dockerConfigCredentials } from './docker-config.ts'
export { fileSink } from './file-sink.ts'
export type {
  BlobSink,
  CallOptions,
  CredentialProvider,
  Credentials,
  ProxySettings,
  RegistryClient,
  RegistryClientOptions,
  ResolvedManifest,
  ResolveOptions,
  RetrySettings,
  TimeoutSettings,
  TransferOptions,
  TransferProgress,
  UploadOptions,
  UploadOutcome,
} from './types.ts'
