export { type CosignFixture, type MemoryPlace, memoryPlace, placeOf } from './memory-place.ts'
