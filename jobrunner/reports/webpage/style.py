"""The page's style: light and dark, for screens of 320 px and more, and for paper."""

STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfb; --ink: #1d2328; --quiet: #5a656e;
  --line: #dfe3e6; --panel: #f3f5f5; --base: #6b7680; --tuned: #0b63b5; --good: #1a7f4b;
  --bad: #b3361c; --added: #7a4bb0; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181c; --ink: #e6eaed; --quiet: #9aa5ae;
  --line: #2e363d; --panel: #1c2227; --base: #a3aeb7; --tuned: #68b0f4; --good: #57c98c;
  --bad: #f08a70; --added: #c19df0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 62rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 3rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.8rem 0 .4rem; }
h4 { font-size: .9rem; margin: 1.2rem 0 .3rem; }
p, li { max-width: 44rem; }
code, pre, .path { font-family: ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", monospace;
  font-size: .86em; overflow-wrap: anywhere; }
pre { background: var(--panel); border-radius: .5rem; padding: .8rem 1rem; margin: .5rem 0 1rem;
  white-space: pre-wrap; line-height: 1.6; }
ul { padding-left: 1.2rem; }
.lede { color: var(--quiet); margin-top: 0; font-size: 1.05rem; }
.note { color: var(--quiet); font-size: .88rem; margin: .2rem 0 .6rem; }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.5rem; color: var(--quiet); font-size: .9rem; }
.key i { display: inline-block; width: .75em; height: .75em; border-radius: 50%; margin-right: .4em;
  border: 2px solid var(--base); }
.key i.full { border-color: var(--tuned); background: var(--tuned); }

svg { display: block; width: 100%; height: auto; font-size: 13px; }
svg.narrow { display: none; max-width: 30rem; margin: 0 auto; }
svg text { fill: var(--ink); }
svg .grid { stroke: var(--line); }
svg .tick { fill: var(--quiet); text-anchor: middle; font-size: 12px; }
svg .tick.left { text-anchor: end; }
svg .label { text-anchor: end; font-weight: 600; }
svg .sub { text-anchor: end; fill: var(--quiet); font-size: 11px; }
svg.narrow .label, svg.narrow .sub { text-anchor: start; }
svg .link { stroke: var(--line); stroke-width: 3; }
svg g line { stroke-width: 1.8; }
svg g text { text-anchor: middle; font-size: 12px; font-variant-numeric: tabular-nums; }
.base line, .base circle { stroke: var(--base); }
.base circle { fill: var(--paper); stroke-width: 2; }
.base text { fill: var(--base); }
.tuned line, .tuned circle { stroke: var(--tuned); }
.tuned circle { fill: var(--tuned); }
.tuned text { fill: var(--tuned); font-weight: 600; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1.5rem; }
.curves figure { margin: 0; }
.curves figcaption { font-size: .9rem; font-weight: 600; }
.curve .line { fill: none; stroke: var(--tuned); stroke-width: 1.8; stroke-linejoin: round; }
.curve circle { fill: var(--paper); stroke: var(--tuned); stroke-width: 1.8; }
.curve circle.best { fill: var(--tuned); }
.curve .value { fill: var(--tuned); font-weight: 600; font-size: 12px; }

table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .5rem .6rem; text-align: right; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th:first-child { padding-left: 0; } td:last-child, th:last-child { padding-right: 0; }
thead th { color: var(--quiet); font-weight: 600; vertical-align: bottom; }
th[scope=row], th.left, td.left { text-align: left; }
th small { display: block; color: var(--quiet); font-weight: 400; overflow-wrap: anywhere; }
td small { display: block; color: var(--quiet); white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; font-size: .9rem;
  margin: .4rem 0; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
dd small { color: var(--quiet); }
details { margin: .6rem 0; }
summary { cursor: pointer; }
details.run { border: 1px solid var(--line); border-radius: .6rem; padding: 0 1.1rem; }
details.run h2 { font-size: 1.1rem; margin: 1.2rem 0 .4rem; }
details.run > summary { padding: .8rem 0; margin: 0 -.2rem; }
details.run > summary b { font-weight: 600; } details.run > summary small { color: var(--quiet);
  display: block; margin-left: 1.1rem; overflow-wrap: anywhere; }

ol.examples { list-style: none; padding: 0; margin: .4rem 0; }
ol.examples li { border-top: 1px solid var(--line); padding: .6rem 0 .7rem; max-width: none; }
.meta { display: block; color: var(--quiet); font-size: .82rem; margin-bottom: .3rem;
  overflow-wrap: anywhere; }
.aligned { display: flex; flex-wrap: wrap; gap: .35rem .7rem; line-height: 1.35; }
.aligned.tight { gap: .35rem .1rem; }
.aligned span { display: inline-flex; flex-direction: column; min-width: 1ch; max-width: 100%;
  overflow-wrap: anywhere; }
.aligned del, .aligned ins, .aligned b, .aligned i { font-weight: 400; font-style: normal;
  text-decoration: none; }
.aligned i { color: var(--quiet); opacity: .75; }
.aligned .s ins, .legend .s ins { color: var(--bad); text-decoration: underline;
  text-underline-offset: .2em; }
.aligned .d del, .legend .d del { color: var(--bad); text-decoration: line-through; }
.aligned .d::after { content: "–"; color: var(--bad); }
.aligned .a::before { content: "\\a0"; }
.aligned .a ins, .legend .a ins { color: var(--added); text-decoration: none; }
.aligned .a ins::before, .legend .a ins::before { content: "+"; }

@media (max-width: 46rem) {
  body { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.45rem; }
  svg.wide { display: none; } svg.narrow { display: block; }
  table, tbody, tr, th[scope=row], td { display: block; }
  thead { display: none; }
  tr { border: 1px solid var(--line); border-radius: .6rem; padding: .6rem .9rem;
    margin: 0 0 .8rem; }
  th[scope=row] { border: 0; padding: 0 0 .3rem; font-size: 1rem; }
  td, td:last-child { display: flex; justify-content: space-between; gap: 1rem; border: 0;
    padding: .18rem 0; }
  td::before { content: attr(data-label); color: var(--quiet); }
  td > span { text-align: right; }
  dl.settings { grid-template-columns: 1fr; gap: 0; }
  dl.origin { grid-template-columns: 1fr; gap: 0; }
  dl.settings dd, dl.origin dd { margin-bottom: .45rem; }
}
@media print { details > * { display: block; } details.run { border: 0; padding: 0; } }
"""
