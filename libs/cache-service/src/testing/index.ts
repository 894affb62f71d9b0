export {
  type BlobWorld,
  blobWorld,
  openService,
  recordOf,
  type Step,
  scopes,
  serverKey,
  stepOf,
} from './world.ts'
