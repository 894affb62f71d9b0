const mebibyte = 1024 * 1024

/** How much of a blob goes with one request; `undefined` for all of it. */
export type PieceBytes = number | undefined

/** From the size that costs least to go on after a cut, over GHCR's limit, to what nginx takes where nobody configured it. */
const pieceSizes = [8 * mebibyte, 4 * mebibyte, mebibyte] as const

/**
 * Decides how a blob is cut into requests: whole at first, and in pieces of 8 MiB once that has failed.
 *
 * Whole at first, because that is what docker, containerd, skopeo and crane send, so that every registry takes it, while
 * pieces are read in as many ways as there are registries: Google's takes none, GHCR none above 4 MiB, ECR none below
 * 5 MiB, and each one costs a round trip. A request with all of a blob has no `Content-Range`, which is what makes some
 * registries count it as a piece. After a cut, a registry that keeps what arrived goes on from there either way; one that
 * keeps whole requests only, or stands behind a proxy that does, loses at most one piece to the next cut. Debian's
 * docker-registry 2.8 is neither: where a request was cut in the middle, it throws the upload away.
 *
 * A body that is refused for its size (413, by a proxy for example) comes in pieces as well, in smaller ones if these are
 * refused. A registry that will have none gets the blob whole again.
 */
export class UploadPlan {
  readonly #size: number
  #step = -1
  #takesPieces = true
  #leastBytes = 0

  /** @param size of the blob, in bytes */
  constructor(size: number) {
    this.#size = size
  }

  /** How many bytes the request has that begins at `from`. */
  lengthAt(from: number): number {
    const rest = this.#size - from
    const piece = this.#pieceBytes()
    return piece === undefined ? rest : Math.min(piece, rest)
  }

  /** What a registry says it wants at least in a piece that is not the last, as `OCI-Chunk-Min-Length`. */
  wantsAtLeast(bytes: number): void {
    if (Number.isSafeInteger(bytes) && bytes > 0) this.#leastBytes = bytes
  }

  /** A request did not come to its end: from now on less is at stake. */
  wasCut(): void {
    this.#step = Math.max(this.#step, 0)
  }

  /**
   * A request's body was refused for what it was.
   * @param tooLarge whether the status says that a smaller one may be taken
   * @returns whether there is another way to send the blob
   */
  wasRefused(length: number, tooLarge: boolean): boolean {
    const whole = length === this.#size
    if (tooLarge) {
      const next = pieceSizes.findIndex((bytes) => bytes < length)
      if (next < 0 || !this.#takesPieces) return false
      this.#step = next
      return true
    }
    // Twice whole is no other way.
    if (whole || !this.#takesPieces) return false
    this.#takesPieces = false
    return true
  }

  #pieceBytes(): PieceBytes {
    if (!this.#takesPieces) return undefined
    const piece = pieceSizes[this.#step]
    return piece === undefined ? undefined : Math.max(piece, this.#leastBytes)
  }
}
