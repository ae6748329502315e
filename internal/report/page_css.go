package report

// pageCSS is the style of report.html. The page's policy allows it by its digest.
const pageCSS = `:root{--bg:#f6f7f9;--card:#fff;--ink:#16202b;--dim:#5a6876;--line:#dde2e8;--good:#00735a;--good-bg:#dff3ec;--warn:#8a5200;--warn-bg:#fdf0d5;--bad:#b13c00;--bad-bg:#fde5d9;--none:#51606e;--none-bg:#e9edf1;--blue:#0072b2;--sky:#56b4e9;--green:#009e73;--orange:#e69f00;--red:#d55e00;--purple:#aa4499;--grey:#9aa7b3;--pale:#c3ccd4}
@media (prefers-color-scheme:dark){:root{--bg:#10161d;--card:#18212b;--ink:#e8edf2;--dim:#9fb0bf;--line:#2b3846;--good:#5fd3b0;--good-bg:#10362c;--warn:#f3bd5b;--warn-bg:#3a2c0f;--bad:#ff9a66;--bad-bg:#43210f;--none:#b3c1cd;--none-bg:#26323e;--blue:#3f9fdb;--green:#1fb589;--grey:#66757f;--pale:#43525f}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}
header,main,footer{max-width:1080px;margin:0 auto;padding:0 20px}
header{padding-top:32px}
.product{margin:0;color:var(--dim);font-size:13px;letter-spacing:.04em}
h1{margin:2px 0 14px;font-size:30px;line-height:1.2;letter-spacing:-.01em}
h2{margin:0 0 14px;font-size:19px}
h3{margin:22px 0 6px;font-size:16px}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.9em}
.status{display:flex;flex-wrap:wrap;align-items:center;gap:4px 10px;margin:0 0 12px;padding:12px 16px;border-radius:10px;font-size:16px}
.status .sign{display:inline-grid;place-items:center;width:24px;height:24px;border:2px solid currentColor;border-radius:50%;font-size:14px;font-weight:700;line-height:1}
.status.good{background:var(--good-bg);color:var(--good)}
.status.warn{background:var(--warn-bg);color:var(--warn)}
.status.bad{background:var(--bad-bg);color:var(--bad)}
.status span:last-child{color:var(--ink)}
.reason{margin:0 0 10px}
dl.facts{display:flex;flex-wrap:wrap;gap:6px 32px;margin:14px 0 0}
dl.facts dt{color:var(--dim);font-size:13px}
dl.facts dd{margin:0}
section{margin:24px 0;padding:20px;background:var(--card);border:1px solid var(--line);border-radius:12px}
section[aria-label=Recap]{padding:0;background:none;border:0}
.tiles{display:flex;flex-wrap:wrap;gap:10px}
.tile{flex:1 1 22%;padding:12px 14px;background:var(--card);border:1px solid var(--line);border-top:4px solid var(--grey);border-radius:10px}
.tile.good{border-top-color:var(--green)}
.tile.warn{border-top-color:var(--orange)}
.tile.bad{border-top-color:var(--red)}
.tile .label{font-size:13px;color:var(--dim)}
.tile.good .label{color:var(--good)}
.tile.warn .label{color:var(--warn)}
.tile.bad .label{color:var(--bad)}
.tile .number{font-size:29px;font-weight:650;line-height:1.2;font-variant-numeric:tabular-nums}
.tile .note{color:var(--dim);font-size:12px}
.total{margin-top:16px}
.bar{display:block;border-radius:5px;background:var(--none-bg)}
.bar rect{stroke:var(--card);stroke-width:1px}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:8px 0 0;padding:0;list-style:none;color:var(--dim);font-size:13px}
.legend svg{margin-right:6px}
.legend b{color:var(--ink)}
.o-Patched{fill:var(--green)}
.o-Compliant{fill:var(--blue)}
.o-PatchedPendingReboot{fill:var(--sky)}
.o-NonCompliant{fill:var(--orange)}
.o-Failed{fill:var(--red)}
.o-TimedOut{fill:#a04a00}
.o-Interrupted{fill:#8c6d1f}
.o-Undeliverable{fill:#cc79a7}
.o-Unhealthy{fill:var(--purple)}
.o-Unknown{fill:#6a3d9a}
.o-Gone{fill:var(--grey)}
.o-NotSent{fill:var(--pale)}
.chip{display:inline-block;padding:1px 9px;border-radius:999px;background:var(--none-bg);color:var(--none);font-size:13px;font-weight:600;white-space:nowrap}
.chip.good,.chip.v-good,.chip.a-approved{background:var(--good-bg);color:var(--good)}
.chip.warn,.chip.v-ask,.chip.a-pending,.chip.a-expired{background:var(--warn-bg);color:var(--warn)}
.chip.bad,.chip.v-stop,.chip.a-rejected{background:var(--bad-bg);color:var(--bad)}
summary{cursor:pointer}
.group{border:solid var(--line);border-width:1px 0}
.group+.group{border-top-width:0}
.group>summary{display:grid;grid-template-columns:64px 206px 1fr auto;gap:12px;align-items:baseline;padding:10px 4px;list-style:none}
.group>summary::-webkit-details-marker{display:none}
.group>summary:hover{background:var(--bg)}
.group>summary .n{font-size:18px;font-weight:650;text-align:right;font-variant-numeric:tabular-nums}
.group>summary .n::before{content:"▸";float:left;color:var(--dim);font-size:13px;font-weight:400;line-height:27px}
.group[open]>summary .n::before{content:"▾"}
.group>summary .chip{justify-self:start}
.where,.dim,.meaning,.more,.took{color:var(--dim)}
.where{font-size:13px;white-space:nowrap}
.meaning{margin:0 0 8px}
.group>.meaning,.group>.more{margin-left:76px}
.instances{margin:0 0 14px;padding:0 0 0 76px;list-style:none}
.instances li{padding:8px 0;border-top:1px dashed var(--line)}
.instances .facts{display:flex;flex-wrap:wrap;gap:0 16px;color:var(--dim);font-size:13px}
.instances .facts b{color:var(--ink);font-weight:500}
.warning{color:var(--warn);font-size:13px}
.output summary{color:var(--dim);font-size:13px}
.output pre{max-height:320px;overflow:auto;margin:6px 0 4px;padding:10px 12px;background:var(--bg);border:1px solid var(--line);border-radius:8px;white-space:pre-wrap}
.scroll{position:relative;overflow-x:auto;overflow-wrap:normal;background:linear-gradient(to right,var(--card) 50%,transparent) 0 0/40px 100% no-repeat local,linear-gradient(to left,var(--card) 50%,transparent) 100% 0/40px 100% no-repeat local,linear-gradient(to right,var(--grey),transparent) 0 0/12px 100% no-repeat,linear-gradient(to left,var(--grey),transparent) 100% 0/12px 100% no-repeat}
table{width:100%;border-collapse:collapse;font-size:14px}
th{color:var(--dim);font-size:13px;font-weight:500;text-align:left;white-space:nowrap}
th,td{padding:6px 14px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
.num{text-align:right;font-variant-numeric:tabular-nums}
.zero{color:var(--dim);opacity:.6}
td.wide{min-width:110px;width:24%;padding:11px 0 0}
.hide{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.wave+.wave,.approval+.approval{margin-top:22px;padding-top:4px;border-top:1px solid var(--line)}
.wave h3,.approval h3{display:flex;flex-wrap:wrap;gap:4px 10px;align-items:center;margin:12px 0 8px}
.tight,.decisions .when{white-space:nowrap}
.decisions{margin:0;padding:0;list-style:none}
.decisions li{padding:6px 0;border-top:1px dashed var(--line)}
.took{font-size:13px;font-weight:400}
.wave details{margin-top:8px}
.wave summary{color:var(--dim);font-size:13px}
.timeline{display:block;overflow:visible}
.timeline text{fill:var(--ink);font-size:13px}
.timeline .dim,.timeline .axis{fill:var(--dim)}
.timeline .axis{font-size:12px}
.timeline .grid{stroke:var(--line)}
.timeline rect{min-width:3px}
.t-good{fill:var(--green)}
.t-warn{fill:var(--orange)}
.t-bad{fill:var(--red)}
.t-none{fill:var(--grey)}
.wait{fill:none;stroke:var(--dim);stroke-dasharray:4 3}
footer{padding-bottom:40px;color:var(--dim);font-size:13px}
@media (max-width:640px){
header,main,footer{padding-left:12px;padding-right:12px}
header{padding-top:20px}
h1{font-size:23px}
section{padding:14px}
.tile{flex-basis:40%}
th,td{padding-right:9px}
th.wide,td.wide{display:none}
.group>summary{grid-template-columns:52px 1fr auto;gap:2px 10px}
.group>summary .why{grid-column:2/4}
.group>summary .where{display:none}
.instances{padding-left:14px}
.group>.meaning,.group>.more{margin-left:14px}
}
@media print{
:root{color-scheme:light}
body{background:#fff;font-size:12px}
section,.tile{break-inside:avoid;border-color:#bbb}
section{break-inside:auto}
.instances li,tr{break-inside:avoid}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
.output pre{max-height:none}
.group::details-content,.output::details-content,.wave details::details-content{content-visibility:visible;block-size:auto}
}
`
