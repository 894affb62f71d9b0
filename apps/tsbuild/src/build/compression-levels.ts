/** What `compression-level` may be, and what it is where nothing says; the builder's outputs have the same defaults. */
export const compressionLevels = {
  gzip: { lowest: 0, highest: 9, usual: 6 },
  estargz: { lowest: 0, highest: 9, usual: 9 },
  zstd: { lowest: 0, highest: 22, usual: 3 },
} as const
