package report

import (
	"fmt"
	"strings"
	"sync"
)

// style is the look of a page: light or dark as the reader's system is, light on paper.
const style = `:root{color-scheme:light dark;--ink:#222;--soft:#5a5a5a;--paper:#fff;--card:#f6f7f8;--rule:#d9dce0;--edge:#0003;--link:#005a9c;--warn:#fff4d6;--warnrule:#a87400;--right:#0072b2;--wrong:#d55e00;--righttext:#00609a;--wrongtext:#b34a00}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e6e6e6;--soft:#a9adb3;--paper:#16181c;--card:#1f2227;--rule:#3a3d42;--edge:#fff4;--link:#7cc0f5;--warn:#3a3018;--warnrule:#f0c54a;--right:#3d93cb;--wrong:#d9763a;--righttext:#6db9ea;--wrongtext:#f0955e}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:1.5rem 1rem 3rem;max-width:78rem;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,-apple-system,"Segoe UI","Liberation Sans","DejaVu Sans",Arial,sans-serif;overflow-wrap:break-word}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 .3rem}
h2{font-size:1.25rem;margin:2.2rem 0 .6rem;padding-bottom:.2rem;border-bottom:1px solid var(--rule)}
h3{font-size:1rem;margin:1.4rem 0 .5rem}
p{max-width:46rem;margin:.5rem 0}
a{color:var(--link)}
.lead{font-size:1.05rem;color:var(--soft)}
.notice{font-size:.9rem;color:var(--soft)}
nav ul{list-style:none;margin:1rem 0 0;padding:0;display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;font-size:.95rem}
.warnings{background:var(--warn);border-left:4px solid var(--warnrule);margin:1.2rem 0;padding:.7rem 1rem .7rem 2rem;max-width:60rem}
.warnings li{margin:.2rem 0}
.wide{overflow-x:auto;margin:.8rem 0;max-width:100%;background:linear-gradient(to right,var(--paper) 30%,transparent) 0 0/2.5rem 100% no-repeat local,linear-gradient(to left,var(--paper) 30%,transparent) 100% 0/2.5rem 100% no-repeat local,linear-gradient(to right,var(--edge),transparent) 0 0/.7rem 100% no-repeat scroll,linear-gradient(to left,var(--edge),transparent) 100% 0/.7rem 100% no-repeat scroll}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.93rem}
caption{text-align:left;color:var(--soft);padding-bottom:.4rem;font-size:.93rem}
caption span{display:inline-block;max-width:min(46rem,calc(100vw - 2rem));position:sticky;left:0}
th,td{padding:.32rem .7rem;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top}
thead th{border-bottom:2px solid var(--rule);vertical-align:bottom;font-weight:600}
tbody th{font-weight:600;max-width:18rem}
td small,th small{display:block;color:var(--soft);font-size:.82rem;font-weight:400}
.n{text-align:right;white-space:nowrap}
thead .n{white-space:normal}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr));gap:1.2rem;margin:.8rem 0}
.figures>*{min-width:0}
figure{margin:0}
.figures>figure{background:var(--card);border-radius:.5rem;padding:.7rem .6rem .5rem}
.figures>figure figcaption{font-weight:600;font-size:.95rem;padding:0 .3rem .3rem}
svg.plot{display:block;width:100%;height:auto;max-width:36rem;margin:0 auto}
.matrices{display:flex;flex-wrap:wrap;gap:.4rem 2rem}
.matrices>*{max-width:100%;min-width:0}
.matrix caption{font-weight:600;color:var(--ink)}
.matrix thead th{max-width:12rem}
.matrix td small{display:block;color:inherit;opacity:.85;font-size:.8rem}
.matrix td.right{background:color-mix(in srgb,var(--right) var(--s),transparent)}
.matrix td.wrong{background:color-mix(in srgb,var(--wrong) calc(var(--s) - 12%),transparent)}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:1rem;margin:.8rem 0}
.pictures figure{background:var(--card);border-radius:.5rem;padding:.6rem;font-size:.85rem;line-height:1.4;min-width:0}
.pictures img{display:block;margin:0 auto .4rem;width:100%;height:9rem;object-fit:contain}
.pictures img[role=button]{cursor:zoom-in}
.pictures figure>div{display:flex;gap:.4rem}
.pictures figure>div img{flex:1 1 0;min-width:0}
.pictures figure.right{box-shadow:inset 0 3px var(--right)}
.pictures figure.wrong{box-shadow:inset 0 3px var(--wrong)}
.verdict{float:right;font-weight:600;margin-left:.5rem}
.right .verdict{color:var(--righttext)}
.wrong .verdict{color:var(--wrongtext)}
.pairs{grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr))}
.pick{border:0;margin:.2rem .3rem 0;padding:0;font-size:.88rem;display:flex;flex-wrap:wrap;gap:.1rem .9rem}
.pick legend{float:left;padding:0;margin-right:.2rem;color:var(--soft)}
.pick input{margin:0 .3rem 0 0;vertical-align:-.1em}

.tip{position:absolute;z-index:2;max-width:min(20rem,calc(100vw - 1rem));padding:.25rem .5rem;border-radius:.3rem;background:var(--ink);color:var(--paper);font-size:.85rem;pointer-events:none}
.said{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.dot{fill:none;stroke:var(--ink);stroke-width:2}
.yield{background:var(--card);border-radius:.5rem;padding:.7rem .9rem;margin:1rem 0 .4rem;max-width:46rem}
.yield[hidden]{display:none}
.yield label{font-weight:600}
.yield input{display:block;width:100%;margin:.5rem 0;accent-color:var(--right)}
.yield output span{display:block}
dialog.large{border:0;border-radius:.5rem;padding:.8rem;background:var(--card);color:var(--ink);max-width:calc(100vw - 1.5rem)}
dialog.large::backdrop{background:#000c}
dialog.large img{display:block;width:auto;height:auto;min-width:min(28rem,calc(100vw - 4rem));max-width:100%;max-height:calc(100vh - 10rem);object-fit:contain;margin:.5rem auto}
dialog.large p{font-size:.9rem;max-width:none}
dialog.large button{font:inherit;min-width:2.5rem;min-height:2.2rem;margin-right:.4rem;border:1px solid var(--rule);border-radius:.3rem;background:var(--paper);color:var(--ink);cursor:pointer}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
pre{background:var(--card);padding:.7rem .9rem;border-radius:.4rem;white-space:pre-wrap;font-size:.88rem;max-width:60rem}
pre span{display:inline-block;max-width:100%;overflow-wrap:anywhere}
dl{margin:.6rem 0;max-width:60rem}
dl div{display:flex;flex-wrap:wrap;gap:0 1rem;padding:.25rem 0;border-bottom:1px solid var(--rule)}
dt{flex:0 0 12rem;color:var(--soft)}
dd{margin:0;flex:1 1 18rem;min-width:0;overflow-wrap:anywhere}
@media (max-width:30rem){body{padding:1rem .8rem 2rem}h1{font-size:1.4rem}th,td{padding:.3rem .45rem}.pictures{grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr))}}
@page{margin:14mm}
@media print{body{font-size:10pt;padding:0;max-width:none}nav,.yield,.tip,dialog{display:none!important}h2,h3,section>p,caption{break-after:avoid}figure,tr,p,.matrix,.warnings,.pictures figure{break-inside:avoid}.wide{overflow:visible;background:none}table{font-size:7.5pt}th,td{padding:.15rem .3rem}.figures{grid-template-columns:repeat(2,1fr)}.pictures{grid-template-columns:repeat(4,1fr)}.pairs{grid-template-columns:repeat(2,1fr)}*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
`

// maxShades is how many shades of a figure a page can show one at a time.
const maxShades = 16

// shadeRules show the shade that is chosen below a figure; where a browser does not know :has, all of them.
var shadeRules = sync.OnceValue(func() string {
	var b strings.Builder
	b.WriteString("@supports selector(:has(a)){figure:has(.pick) .shade{display:none}\n")
	for n := 1; n <= maxShades; n++ {
		fmt.Fprintf(&b, "figure:has(.pick [value=\"%d\"]:checked) .s%d{display:inline}", n, n)
	}
	b.WriteString("}\n")
	return b.String()
})
