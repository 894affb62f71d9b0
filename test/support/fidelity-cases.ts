/** Files made by shell scripts, one script for each layer; what they leave must come through image and back. */
export interface FidelityCase {
  /** The row of reliability.md J, and what it is about. Names the case. */
  readonly name: string
  /** Scripts for `sh` with the programs of busybox, each run in the case's own directory, each in a layer of its own. */
  readonly steps: readonly string[]
  /** What does the same in a plain directory, where overlayfs does something else. */
  readonly plain?: readonly string[]
  /** Only root can do this. */
  readonly root?: true
  /** The times are part of the case. */
  readonly times?: true
}

const oddNames = [
  'n'.repeat(255),
  '\\377\\376',
  'new\\nline',
  'tab\\t.',
  'back\\\\slash',
  '"',
  '*',
  '-rf',
  ':,=',
  'trailing ',
  'dot.',
  'caf\\303\\251',
  'cafe\\314\\201',
  'case',
  'CASE',
  '\\360\\237\\230\\200',
  '\\327\\220\\327\\221',
  'a.wh.b',
]
/** Touches the name that printf makes of each text, and makes a directory of it with a file in it. */
const makeNames = oddNames
  .map(
    (text) =>
      `n="$(printf '%b' '${text.replaceAll('\\3', '\\03')}')"; : > "./$n"; mkdir -p "./d/$n"; echo "$n" > "./d/$n/in"`,
  )
  .join('\n')

/** 100 links, then 99 directories of links to these. */
const manyLinks = [
  'mkdir d0; echo x > d0/f; i=1; while [ $i -lt 100 ]; do ln d0/f d0/l$i; i=$((i+1)); done',
  'i=1; while [ $i -lt 100 ]; do cp -al d0 d$i; i=$((i+1)); done',
].join('; ')
const ids = [0, 1000, 65534, 65535, 2 ** 21 - 1, 2 ** 21, 2 ** 21 + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 2]
const times = [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 5, 8_589_934_591, 8_589_934_592]
const modes = ['0000', '0111', '0644', '0755', '1777', '2755', '4755', '7777']

/** FS-01, 02, 03, 05, 06, 07, 08 and 09. */
export const fidelityCases: readonly FidelityCase[] = [
  { name: 'FS-01 names of any bytes', steps: [makeNames] },
  {
    name: 'FS-01 a path of 2,000 bytes',
    steps: [
      `i=0; d=${'p'.repeat(200)}; while [ $i -lt 9 ]; do mkdir $d; cd $d; i=$((i+1)); done; echo deep > end`,
    ],
  },
  {
    name: 'FS-01 names removed again',
    steps: [
      makeNames,
      `for n in ./*; do [ -d "$n" ] || rm "$n"; done; rm -rf "./d/$(printf 'new\\nline')" "./d/-rf"`,
    ],
  },
  { name: 'FS-02 hard links', steps: ['echo x > z; ln z a; mkdir d; ln z d/m; mkfifo p; ln p q'] },
  {
    name: 'FS-02 hard links to a link',
    steps: ['ln -s nowhere l; ln l m'],
  },
  {
    name: 'FS-02 10,000 links',
    steps: [manyLinks],
  },
  {
    name: 'FS-02 one of two links is changed in a later layer',
    steps: ['echo old > a; ln a b; ln a c', 'echo new > a; chmod 600 b'],
    plain: [
      'echo old > a; ln a b; ln a c',
      'cp -p a x; mv x a; echo new > a; cp -p b x; mv x b; chmod 600 b',
    ],
  },
  {
    name: 'FS-02 a link to a file of the layer below',
    steps: ['echo old > a', 'ln a b; rm a; ln b c'],
  },
  { name: 'FS-02 one of two links is removed', steps: ['echo x > a; ln a b', 'rm a'] },
  {
    name: 'FS-03 files, directories and links are removed',
    steps: ['mkdir -p d/s; echo x > d/f; echo y > f; ln -s f l; mkfifo p', 'rm -r d/s d/f f l p'],
  },
  {
    name: 'FS-03 removed and made again as something else',
    steps: [
      'mkdir d e; echo x > d/f; echo x > f; ln -s f l; mkdir k; echo x > k/g',
      'rm -r d; echo file > d; rm f; mkdir f; rm l; echo x > l; rm -r e; ln -s f e',
      'rm d; mkdir d; echo y > d/g; rm -r f; ln -s d f',
    ],
  },
  {
    name: 'FS-03 a directory is emptied and filled again',
    steps: [
      'mkdir -p d/s/t; echo x > d/f; echo y > d/s/g',
      'rm -r d; mkdir d; echo z > d/new; mkdir d/s',
      'echo w > d/s/late',
    ],
  },
  {
    name: 'FS-03 renamed over something, and directories renamed',
    steps: ['mkdir -p d/s; echo x > d/f; echo y > g; mkdir e', 'mv g d/f; mv d/s e/t; mv d n'],
  },
  {
    name: 'FS-03 made and removed in one layer',
    steps: ['mkdir d; echo x > d/f; rm -r d; echo y > f; rm f; echo z > kept'],
  },
  { name: 'FS-05 pipes', steps: ['mkfifo -m 640 p'] },
  {
    name: 'FS-05 devices',
    steps: ['mknod c c 1 3; mknod -m 600 b b 7 130; mknod big c 4095 1048575; mknod z b 0 0'],
    root: true,
  },
  {
    name: 'FS-06 sizes',
    steps: [
      'for n in 0 1 511 512 513 65536 1048577; do head -c $n /bin/busybox > s$n; truncate -s $n s$n; done',
    ],
  },
  {
    name: 'FS-06 files with holes',
    steps: [
      'truncate -s 200M hole; truncate -s 200M f; printf data | dd of=f bs=1 seek=150000000 conv=notrunc',
    ],
  },
  {
    name: 'FS-07 owners',
    steps: [
      ids.map((id) => `: > u${id}; chown ${id}:0 u${id}; : > g${id}; chown 0:${id} g${id}`).join('\n'),
      'chown -h 7:8 u0; chmod 4755 u1000',
    ],
    root: true,
  },
  {
    name: 'FS-07 owners in the range of a user',
    steps: [': > f; chown 1000:65534 f; mkdir d; chown 42:43 d; ln -s f l; chown -h 7:8 l'],
  },
  {
    name: 'FS-08 times',
    steps: [
      times.map((time) => `: > t${time}; mkdir d${time}; touch -d @${time} t${time} d${time}`).join('\n'),
      `: > d0/late; touch -d @5 d0/late d0; ln -s x l; touch -h -d @7 l; touch -d @1000000000 .`,
    ],
    times: true,
  },
  {
    name: 'FS-09 modes',
    steps: [
      modes
        .map(
          (mode) =>
            `: > f${mode}; chmod ${mode} f${mode}; mkdir d${mode}; : > d${mode}/in; chmod ${mode} d${mode}`,
        )
        .join('\n'),
    ],
  },
  {
    name: 'FS-09 modes changed in a later layer',
    steps: ['mkdir d; : > d/f; : > g', 'chmod 0700 d; chmod 7777 d/f; chmod 0 g'],
  },
]
