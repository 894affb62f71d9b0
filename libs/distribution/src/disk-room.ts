import { EnvironmentError } from '@tsbuild/errors'

/** Room on the disk for one body that is on its way in. */
export interface Reservation {
  /** So many bytes of it are written now. @throws {EnvironmentError} `ERR_STORE_NO_SPACE` where it has become longer than was announced, and there is no room for that */
  wrote(bytes: number): void
  /** What was not written needs no room any more. Idempotent. */
  release(): void
}

/** What of a disk uploads may fill: what is on its way in is no object yet, and none of the collector's, but fills the same disk. */
export interface DiskRoom {
  /** @param bytes as they were announced; 0 where nothing was @throws {EnvironmentError} `ERR_STORE_NO_SPACE` (HTTP 507) where there is no room for them */
  reserve(bytes: number): Reservation
}

/** A disk without end. */
export const boundlessRoom: DiskRoom = { reserve: () => ({ wrote() {}, release() {} }) }

/**
 * Lets uploads together never go below a number of bytes that stay free. What others write meanwhile, and other processes take, is seen in
 * what is free, but not ahead.
 *
 * @param free bytes of the disk, now; what was written is not among them
 */
export function createDiskRoom(free: () => number, minFree: number): DiskRoom {
  /** Announced, and not written yet. */
  let pending = 0
  const assertFits = (bytes: number) => {
    const there = free() - pending
    if (there - bytes > minFree) return
    throw new EnvironmentError(
      'ERR_STORE_NO_SPACE',
      `Cannot take an upload${bytes === 0 ? '' : ` of ${bytes} bytes`}: ${Math.max(0, there)} bytes are free, and ${minFree} are to stay so`,
      { details: { bytes, freeBytes: there, minFree } },
    )
  }
  return {
    reserve(bytes) {
      assertFits(bytes)
      pending += bytes
      let left = bytes
      return {
        wrote(written) {
          const announced = Math.min(left, written)
          left -= announced
          pending -= announced
          if (written > announced) assertFits(0)
        },
        release() {
          pending -= left
          left = 0
        },
      }
    },
  }
}
