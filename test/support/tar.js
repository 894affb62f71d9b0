const block = 512;
/** The bytes of a ustar archive with these entries, in this order, with its end mark. */
export function makeTar(entries) {
    return Buffer.concat([...entries.flatMap(makeEntry), Buffer.alloc(2 * block)]);
}
function makeEntry(entry) {
    const data = Buffer.from(entry.data ?? '');
    const padding = Buffer.alloc((block - (data.length % block)) % block);
    return [makeHeader(entry, data.length), data, padding];
}
function makeHeader(entry, sizeBytes) {
    const header = Buffer.alloc(block);
    const text = (value, offset, length) => header.write(value, offset, length, 'utf8');
    const octal = (value, offset, length) => text(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, length);
    const type = entry.type ?? '0';
    text(entry.name, 0, 100);
    octal(entry.mode ?? (type === '5' ? 0o755 : 0o644), 100, 8);
    octal(entry.owner?.[0] ?? 0, 108, 8);
    octal(entry.owner?.[1] ?? 0, 116, 8);
    octal(sizeBytes, 124, 12);
    octal(entry.mtime ?? 0, 136, 12);
    text(' '.repeat(8), 148, 8);
    text(type, 156, 1);
    text(entry.link ?? '', 157, 100);
    text('ustar\0', 257, 6);
    text('00', 263, 2);
    octal(entry.device?.[0] ?? 0, 329, 8);
    octal(entry.device?.[1] ?? 0, 337, 8);
    const sum = header.reduce((total, byte) => total + byte, 0);
    text(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8);
    return header;
}
//# sourceMappingURL=tar.js.map