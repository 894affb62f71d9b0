/** One entry of an archive made by hand; nothing is checked, since most of these are meant to be wrong. */
export interface TarEntry {
    readonly name: string;
    /** One character of the header: `0` file, `1` hard link, `2` symlink, `3` and `4` devices, `5` directory, `6` fifo,
     *  `x` extended header of the next entry. */
    readonly type?: '0' | '1' | '2' | '3' | '4' | '5' | '6' | 'x';
    readonly link?: string;
    readonly mode?: number;
    readonly owner?: readonly [uid: number, gid: number];
    /** Seconds since the Unix epoch. */
    readonly mtime?: number;
    readonly data?: string | Buffer;
    readonly device?: readonly [major: number, minor: number];
}
/** The bytes of a ustar archive with these entries, in this order, with its end mark. */
export declare function makeTar(entries: readonly TarEntry[]): Buffer;
//# sourceMappingURL=tar.d.ts.map