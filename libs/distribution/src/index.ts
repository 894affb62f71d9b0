export { type Allowance, type DistributionLimits, defaultDistributionLimits } from './context.ts'
export { createDiskRoom, type DiskRoom, type Reservation } from './disk-room.ts'
export { type FileUploadsOptions, fileUploads, type UploadBounds } from './file-uploads.ts'
export { type RepositoryRules, repositoryKeeper } from './keeper.ts'
export {
  type BlobLink,
  blobLinkKey,
  contentKey,
  contentPrefix,
  type DistributionKey,
  type ManifestLink,
  parseDistributionKey,
  type ReferrerDescriptor,
  type ReferrerEntry,
  type TagTarget,
} from './layout.ts'
export type { LiveRoots } from './live-keys.ts'
export type { ManifestContent } from './manifest-content.ts'
export { type ContentDigest, parseContentDigest } from './names.ts'
export { promiseMs, Repositories, type StoredManifest, type StoredTag } from './repositories.ts'
export {
  type Distribution,
  type DistributionOptions,
  distributionHeaders,
  distributionRoutes,
} from './routes.ts'
export { type SignIn, signInChallenge } from './sign-in.ts'
export type { StagedContent, UploadPlace, Uploads } from './uploads.ts'
