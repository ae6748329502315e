package approval

// callbackCSS is the style of the approval page.
const callbackCSS = `:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#16202b;--dim:#566472;--line:#dde2e8;--edge:#75828f;--good:#00735a;--good-bg:#dff3ec;--warn:#8a5200;--warn-bg:#fdf0d5;--bad:#b13c00;--bad-bg:#fde5d9;--none:#51606e;--none-bg:#e9edf1;--blue:#005f96;--on-blue:#fff}
@media (prefers-color-scheme:dark){:root{--bg:#10161d;--card:#18212b;--ink:#e8edf2;--dim:#9fb0bf;--line:#2b3846;--edge:#7f909f;--good:#5fd3b0;--good-bg:#10362c;--warn:#f3bd5b;--warn-bg:#3a2c0f;--bad:#ff9a66;--bad-bg:#43210f;--none:#b3c1cd;--none-bg:#26323e;--blue:#6bbcf0;--on-blue:#0b1520}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}
header,main,footer{max-width:880px;margin:0 auto;padding:0 20px}
header{padding-top:32px}
footer{padding-bottom:32px;color:var(--dim);font-size:14px}
.product{margin:0;color:var(--dim);font-size:13px;letter-spacing:.04em}
h1{display:flex;gap:12px;align-items:center;margin:6px 0 12px;font-size:30px;line-height:1.2;letter-spacing:-.01em}
h2{margin:0 0 14px;font-size:19px}
h3{margin:26px 0 6px;font-size:16px}
.sign{flex:none;display:inline-grid;place-items:center;width:40px;height:40px;border-radius:50%;background:var(--none-bg);color:var(--none);font-size:21px;font-weight:700;letter-spacing:0}
.sign.good,.chip.good{background:var(--good-bg);color:var(--good)}
.sign.warn{background:var(--warn-bg);color:var(--warn)}
.sign.bad,.chip.bad{background:var(--bad-bg);color:var(--bad)}
.lead{margin:0 0 6px;font-size:17px}
.deadline{margin:0 0 8px;color:var(--dim)}
.deadline strong{color:var(--ink)}
.alert{margin:12px 0 18px;padding:12px 16px;border-left:4px solid var(--bad);border-radius:8px;background:var(--bad-bg)}
.alert p{margin:0}
.alert ul{margin:4px 0 0;padding-left:20px}
.alert a{color:inherit}
section{margin:20px 0;padding:20px 22px;background:var(--card);border:1px solid var(--line);border-radius:12px}
dl,dd,dt{margin:0}
.tiles{display:grid;grid-template-columns:1.4fr repeat(4,1fr);gap:10px}
.tiles div{display:flex;flex-direction:column-reverse;justify-content:flex-end;padding:10px 14px;background:var(--bg);border-radius:10px}
.tiles dt{color:var(--dim);font-size:13px;line-height:1.3}
.tiles dd{font-size:26px;font-weight:650;line-height:1.25;font-variant-numeric:tabular-nums}
.tiles .main dd{color:var(--blue)}
.tiles .warn{background:var(--warn-bg)}
.tiles .warn dt{color:var(--warn)}
.facts{display:grid;grid-template-columns:1fr 1fr;gap:12px 28px;margin-top:18px}
.facts .wide{grid-column:1/-1}
.facts dt{color:var(--dim);font-size:13px}
.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.9em}
table{width:100%;border-collapse:collapse;overflow-wrap:normal;font-size:15px}
th{text-align:left}
thead th{color:var(--dim);font-size:13px;font-weight:500}
th,td{padding:8px 14px 8px 0;border-bottom:1px solid var(--line);vertical-align:top}
th:last-child,td:last-child{padding-right:0}
.num{text-align:right;font-variant-numeric:tabular-nums}
small,.dim,.hint{color:var(--dim);font-size:14px}
.flag{color:var(--warn);font-weight:600}
td small{display:block}
details{margin-top:12px}
summary{padding:4px 0;cursor:pointer;color:var(--blue)}
details.warn{padding:10px 14px;border-radius:10px;background:var(--warn-bg)}
details.warn summary{color:var(--warn);font-weight:600}
details.warn .dim{color:var(--ink)}
.places{margin:4px 0;padding:0;list-style:none;font-size:14px}
.places li{display:flex;flex-wrap:wrap;gap:2px 16px;padding:5px 0;border-top:1px solid var(--line)}
.places b{font-variant-numeric:tabular-nums}
.grow{flex:1 1 200px}
.decisions{margin:0;padding:0;list-style:none}
.decisions li+li{margin-top:14px;padding-top:14px;border-top:1px solid var(--line)}
.chip{display:inline-block;padding:1px 10px;border-radius:999px;font-size:14px;font-weight:600;white-space:nowrap}
section>p:last-child{margin-bottom:0}
.decide{border:2px solid var(--blue)}
fieldset{margin:0 0 20px;padding:0;border:0}
legend,.field label{padding:0;font-weight:600}
.choices{display:grid;grid-template-columns:1fr 1fr;gap:12px;margin-top:8px}
.choice{display:flex;gap:12px;align-items:flex-start;padding:14px 16px;border:1px solid var(--edge);border-radius:10px;cursor:pointer}
.choice input{flex:none;width:20px;height:20px;margin:2px 0 0;accent-color:var(--blue)}
.choice small{display:block}
.choice.good:has(:checked){border-color:var(--good);background:var(--good-bg);box-shadow:inset 0 0 0 1px var(--good)}
.choice.bad:has(:checked){border-color:var(--bad);background:var(--bad-bg);box-shadow:inset 0 0 0 1px var(--bad)}
.choice:has(:checked) small{color:var(--ink)}
.field{margin:0 0 20px}
.field .hint{margin:2px 0 0}
label+.hint:not(p){margin-left:6px}
input[type=text],textarea{display:block;width:100%;margin-top:6px;padding:10px 12px;border:1px solid var(--edge);border-radius:8px;background:var(--bg);color:inherit;font:inherit}
textarea{resize:vertical}
input#name{max-width:420px}
input#code{max-width:260px;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;letter-spacing:.04em}
[aria-invalid=true]{border-color:var(--bad);box-shadow:inset 0 0 0 1px var(--bad)}
.problem{display:block;margin:6px 0 0;color:var(--bad);font-size:14px;font-weight:600}
kbd{padding:2px 9px;border:1px solid var(--edge);border-bottom-width:3px;border-radius:6px;background:var(--card);color:var(--ink);font:600 16px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:nowrap}
button{padding:12px 26px;border:0;border-radius:8px;background:var(--blue);color:var(--on-blue);font:inherit;font-weight:650;cursor:pointer}
:focus-visible{outline:3px solid var(--blue);outline-offset:2px}
@media (max-width:640px){
header,main,footer{padding-left:14px;padding-right:14px}
header{padding-top:20px}
h1{font-size:25px}
section{padding:16px}
.tiles{grid-template-columns:1fr 1fr}
.tiles .main{grid-column:1/-1}
.facts,.choices{grid-template-columns:1fr}
table,tbody,tr,th[scope=row],td{display:block}
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
tbody tr{padding:10px 0;border-bottom:1px solid var(--line)}
tbody th,td{padding:2px 0;border:0}
tbody th{font-size:17px}
td{display:flex;justify-content:space-between;gap:16px}
td>span{text-align:right}
td::before{content:attr(data-label);flex:none;color:var(--dim)}
button{width:100%}
input#name,input#code{max-width:none}
}
@media print{.decide{display:none}}
`
