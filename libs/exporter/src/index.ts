export { assembleImage } from './assemble-image.ts'
export { exportDirectory, exportTar } from './export-files.ts'
export { exportArchive, exportToStore, pushImage } from './export-image.ts'
export type { AssembledImage, AssembledLayer, ExportContext, ExporterOptions, ImageParts } from './types.ts'
