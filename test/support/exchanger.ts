/**
 * A script of `sh` that runs its arguments while two names are exchanged over and over, as a step of another build would
 * do it in a directory that both have. Neither name is ever missing: it is `renameat2(2)` with `RENAME_EXCHANGE`, which
 * Node lacks and Perl can call.
 *
 * @param log a file that gets a line with the number of exchanges
 */
export function whileExchanging(one: string, other: string, log: string): string {
  const exchange = [
    'my ($a, $b, $log, $n) = (@ARGV, 0);',
    '$SIG{TERM} = sub { open(my $f, ">>", $log); print $f "$n\\n"; close $f; exit 0 };',
    'while (1) { syscall(316, -100, $a, -100, $b, 2) == 0 or die "renameat2: $!"; $n++ }',
  ].join(' ')
  return `perl -e '${exchange}' '${one}' '${other}' '${log}' & racer=$!; "$@"; code=$?; kill $racer; wait $racer; exit $code`
}
