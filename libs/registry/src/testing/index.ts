export {
  hasDockerRegistry,
  type RealRegistry,
  type RealRegistryOptions,
  startDockerRegistry,
} from './docker-registry.ts'
export type { Access } from './fake-auth.ts'
export {
  type Exchange,
  type FakeRegistry,
  type FakeRegistryOptions,
  type Fault,
  type SeenRequest,
  startFakeRegistry,
} from './fake-registry.ts'
export type { UploadRules } from './fake-uploads.ts'
export { type MemorySink, memorySink } from './memory-sink.ts'
export { reply, replyError } from './replies.ts'
export { type Answer, fault, type Misdeed, type Which } from './script.ts'
