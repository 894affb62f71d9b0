// Numbers to a table.
import { median, spread } from './measure.mjs'

/** Medians and spreads of one scenario, for each builder, and how many times as long as ours it took. */
export function summarise(measurements) {
  const builders = [...measurements].map(([name, { seconds, failure }]) => ({
    name,
    seconds,
    ...(seconds.length > 0 && { median: median(seconds), spread: spread(seconds) }),
    ...(failure !== undefined && { failure }),
  }))
  const own = builders[0]?.median
  return {
    builders: builders.map((one) => ({
      ...one,
      ...(one.median !== undefined && own !== undefined && { ratio: one.median / own }),
    })),
  }
}

/** A Markdown table: seconds (median ± spread), and in brackets the ratio to ours. */
export function formatTable({ machine, commit, builders, scenarios, missing }) {
  const names = builders.map((builder) => builder.name)
  const head = [`| scenario | ${names.join(' | ')} |`, `| --- |${' ---: |'.repeat(names.length)}`]
  const rows = scenarios.map(
    ({ title, builders: cells }) => `| ${title} | ${cells.map(formatCell).join(' | ')} |`,
  )
  return [
    `${machine.cpus} CPUs (${machine.cpu}), Linux ${machine.kernel}, Node ${machine.node}, commit ${commit}`,
    ...builders.map(({ name, version }) => `${name}: ${version}`),
    ...missing.map(({ name, reason }) => `left out: ${name}: ${reason}`),
    '',
    ...head,
    ...rows,
  ].join('\n')
}

function formatCell({ median: middle, spread: width, ratio, failure }, index) {
  if (failure !== undefined && middle === undefined) return 'failed'
  if (middle === undefined) return '–'
  const digits = middle < 10 ? 2 : 1
  const text = `${middle.toFixed(digits)} ± ${Math.round(width * 100)} %`
  return index === 0 || ratio === undefined ? text : `${text} (× ${ratio.toFixed(1)})`
}
