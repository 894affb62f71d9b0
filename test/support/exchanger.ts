import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** Exchanges two names over and over, until it is stopped; gives how often it did. */
export interface Exchanger {
  readonly stop: () => Promise<number>
}

/** `renameat2(2)` with `RENAME_EXCHANGE`, which Node lacks and Perl can call: neither name is ever missing. */
const script = `
  my ($a, $b, $n) = (@ARGV, 0);
  $SIG{TERM} = sub { print "$n\\n"; exit 0 };
  $| = 1; print "begun\\n";
  while (1) { syscall(316, -100, $a, -100, $b, 2) == 0 or die "renameat2: $!"; $n++ }
`

/** Starts the exchange of two names, as a step of another build would do it in a directory that both have. */
export async function startExchanger(one: string, other: string): Promise<Exchanger> {
  const child = spawn('perl', ['-e', script, one, other], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    said += text
  })
  const closed = once(child, 'close')
  await Promise.race([once(child.stdout, 'data'), closed])
  return {
    stop: async () => {
      child.kill('SIGTERM')
      await closed
      const count = Number(said.split('\n')[1])
      if (Number.isNaN(count)) throw new Error(`The exchange ended early: ${said}`)
      return count
    },
  }
}
