/** A section `.go.buildinfo` as Go writes it since 1.18. */
export function goSection(version: string, modules: string): Buffer {
  const marker = Buffer.alloc(16, 0x30)
  const head = Buffer.alloc(32)
  head.write('\xff Go buildinf:', 'latin1')
  head[14] = 8
  head[15] = 2
  return Buffer.concat([
    head,
    counted(Buffer.from(version)),
    counted(Buffer.concat([marker, Buffer.from(modules), marker])),
  ])
}

function counted(bytes: Buffer): Buffer {
  const length: number[] = []
  let rest = bytes.length
  for (; rest >= 0x80; rest >>>= 7) length.push((rest & 0x7f) | 0x80)
  return Buffer.concat([Buffer.from([...length, rest]), bytes])
}
