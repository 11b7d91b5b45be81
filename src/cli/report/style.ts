// The style of the report page: light and dark by the reader's scheme, and light on paper.

const LIGHT = `--page:#f7f8fa;--card:#fff;--ink:#1a2230;--muted:#566072;--line:#e1e5eb;--track:#eef1f5;--accent:#0b62b8;--fp32:#9aa5b5;
--good:#0a6b47;--series-0:#0b62b8;--series-1:#c2500a;--series-2:#0a7d5a;--series-3:#8e3fa8;--series-4:#b3266e;--series-5:#7a6000;--series-6:#2a7f9e;--series-7:#5b6472`;

const DARK = `--page:#10151d;--card:#181f2a;--ink:#e6eaf1;--muted:#a3adbd;--line:#2b3544;--track:#232c39;--accent:#6cb6ff;--fp32:#6b788c;
--good:#58d3a2;--series-0:#6cb6ff;--series-1:#ff9d5c;--series-2:#4fd6a4;--series-3:#d59bf0;--series-4:#ff8fbf;--series-5:#e3c94b;--series-6:#7cd4ec;--series-7:#b8c1cc`;

/** The style sheet. */
export const REPORT_STYLE = `
:root{color-scheme:light dark;${LIGHT};font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
@media (prefers-color-scheme:dark){:root:not(.paper){${DARK}}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink)}
main{max-width:1180px;margin:0 auto;padding:32px 20px 48px}
h1{font-size:1.7rem;line-height:1.25;margin:0;overflow-wrap:anywhere;letter-spacing:-.01em}
h2{font-size:1.15rem;margin:36px 0 12px}
h3{font-size:.95rem;margin:0 0 2px}
h4{font-size:.85rem;font-weight:600;margin:0 0 4px}
p{margin:4px 0}
.what,.note,.caption{color:var(--muted);overflow-wrap:anywhere}
.note,.caption{font-size:.85rem}
.state{font-weight:600}
.state.done{color:var(--good)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(180px,1fr));gap:12px;margin:20px 0 0}
.figures>div,.panel{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.figures dt{color:var(--muted);font-size:.85rem}
.figures dd{margin:0}
.figures .value{font-size:1.55rem;line-height:1.3;font-weight:650;font-variant-numeric:tabular-nums}
.panels{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:16px}
.panel{margin:0;min-width:0}
.panel.wide{grid-column:1/-1}
.caption{margin:0 0 8px}
.plot{min-height:40px}
.u-legend{color:var(--ink);font-size:13px}
.u-legend th{font-weight:500}
.u-legend .u-value{display:inline-block;min-width:3.5em;text-align:left;font-variant-numeric:tabular-nums}
.u-select{background:color-mix(in srgb,var(--accent) 18%,transparent)}
.u-cursor-x,.u-cursor-y{border-color:var(--muted)!important}
.directions{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:18px 32px}
.bar{display:grid;grid-template-columns:60px minmax(0,1fr) 130px;gap:10px;align-items:center;margin:4px 0}
.bar svg{display:block}
.bar-name{color:var(--muted);font-size:.85rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.bar-value{font-size:.85rem;font-variant-numeric:tabular-nums;text-align:right}
.track{fill:var(--track)}
.fill{fill:var(--series-0)}
.fp32 .fill{fill:var(--fp32)}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px}
.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.panel .scroll{border:0;border-radius:0}
table{border-collapse:collapse}
.scroll table{width:100%;font-size:.88rem}
.scroll th,.scroll td{padding:6px 12px;text-align:left;border-top:1px solid var(--line);vertical-align:top}
table thead th{border-top:0!important;color:var(--muted);font-weight:600;white-space:nowrap}
tbody th{font-weight:500;min-width:6em}
tr.round>*{background:var(--track);border-top:1px solid var(--line)}
tr.round th{font-weight:700;min-width:0}
.scroll .number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.panels+h3,.scroll+h3{margin:16px 0 6px}
.share{width:30%;vertical-align:middle}
.settings th,.settings td,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.82rem;overflow-wrap:anywhere}
.settings th{color:var(--muted);width:40%}
.scroll .settings tr:first-child>*{border-top:0}
pre{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px;margin:0 0 8px;white-space:pre-wrap}
ul.warnings{margin:0;padding:12px 16px 12px 34px;background:var(--card);border:1px solid var(--line);border-left:4px solid var(--series-1);border-radius:10px;overflow-wrap:anywhere}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
footer{margin-top:40px;color:var(--muted);font-size:.85rem}
@media (max-width:860px){.panels{grid-template-columns:minmax(0,1fr)}.bar{grid-template-columns:64px minmax(0,1fr)}.bar-value{grid-column:2;text-align:left}}
@media print{
:root{${LIGHT};--page:#fff;font-size:11pt}
main{padding:0;max-width:none}
.panels{display:block}
.panel,.figures>div,tbody,pre{break-inside:avoid}
.panel{margin-bottom:14px}
.scroll{overflow:visible}
.settings tbody{break-inside:auto}
h2{break-after:avoid}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
}
`;
