/** The looks of a report. Colours of both schemes keep a contrast of 3 to 1 for bars and 4.5 to 1 for text. */
export const reportStyle = `
:root { color-scheme: light dark; --back: #fff; --text: #1c2127; --soft: #5c6670; --line: #dfe3e8; --ran: #3b76c4; --critical: #164a8c;
  --cached: #2c8a57; --failed: #c23b32; --given-up: #8a8f98; --other: #9aa7b8; --panel: #f5f7f9; }
@media (prefers-color-scheme: dark) { :root { --back: #15191e; --text: #e6e9ed; --soft: #9aa4b0; --line: #333b45; --ran: #5b93dd;
  --critical: #9cc3f5; --cached: #46b079; --failed: #ec6a5f; --given-up: #8a8f98; --other: #66717f; --panel: #1d2329; } }
body { margin: 2rem auto; padding: 0 1.5rem; max-width: 90rem; background: var(--back); color: var(--text); font: 14px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.status { font-size: .9rem; font-weight: 600; padding: .15rem .6rem; border-radius: 1rem; color: var(--back); background: var(--given-up); vertical-align: middle; }
.status.completed { background: var(--cached); } .status.failed, .status.died { background: var(--failed); } .status.running { background: var(--ran); }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; padding: 0; list-style: none; }
.tiles li { padding: .6rem 1rem; border-radius: .4rem; background: var(--panel); color: var(--soft); }
.tiles b { display: block; font-size: 1.4rem; font-weight: 600; color: var(--text); }
.legend { color: var(--soft); margin: 0 0 .75rem; } .legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin: 0 .25rem 0 .9rem; vertical-align: -1px; }
.legend i:first-child { margin-left: 0; }
i.completed, i.running { background: var(--ran); } i.critical { background: var(--critical); } i.cached { background: var(--cached); }
i.failed { background: var(--failed); } i.cancelled { background: var(--given-up); } i.internal { background: var(--other); }
.steps { border-top: 1px solid var(--line); }
.axis, summary { display: grid; grid-template-columns: minmax(14rem, 38%) 1fr; gap: 1rem; align-items: center; }
.axis { height: 1.8rem; color: var(--soft); font-size: 12px; } .axis .time span { transform: none; padding-left: .25rem; border-left: 1px solid var(--line); }
details { border-bottom: 1px solid var(--line); } summary { cursor: pointer; padding: .3rem 0; list-style: none; }
summary::-webkit-details-marker { display: none; } summary:hover { background: var(--panel); }
.name { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; font-family: ui-monospace, monospace; font-size: 12.5px; }
.name b { display: inline-block; min-width: 2ch; text-align: right; font-weight: 400; color: var(--soft); margin-right: .5rem; }
.other .name, .not-reached .name { color: var(--soft); } .failed .name { color: var(--failed); }
.miss { display: block; padding-left: calc(2ch + .9rem); font-family: system-ui, sans-serif; color: var(--soft); overflow: hidden; text-overflow: ellipsis; }
.time { position: relative; height: 1.3rem; } .time i { position: absolute; top: .2rem; bottom: .2rem; min-width: 3px; border-radius: 2px; }
.time span { position: absolute; top: 0; white-space: nowrap; padding: 0 .4rem; font-size: 12px; line-height: 1.3rem; color: var(--soft); font-variant-numeric: tabular-nums; }
pre { margin: .3rem 0 1rem; padding: .75rem 1rem; border-radius: .4rem; background: var(--panel); white-space: pre-wrap; overflow-wrap: anywhere; font: 12.5px/1.5 ui-monospace, monospace; }
pre.error { border-left: 4px solid var(--failed); } .warnings { padding-left: 1.2rem; } .warnings span { color: var(--soft); }
.facts { border-collapse: collapse; } .facts th { text-align: left; font-weight: 400; color: var(--soft); padding: .15rem 1.5rem .15rem 0; vertical-align: top; white-space: nowrap; }
.facts td { overflow-wrap: anywhere; font-family: ui-monospace, monospace; font-size: 12.5px; }
@media (max-width: 50rem) { .axis, summary { grid-template-columns: 1fr; gap: .1rem; } }
`
