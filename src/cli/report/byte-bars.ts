// Bars of the bytes that went down and up, each against the same tensors in float32.
import type { Summary } from '../../record/summary-schema.js';
import { formatBytes, formatShare } from './format.js';
import { html, type Markup } from './markup.js';

/** The bars as plain SVG, which prints and needs no script. */
export function byteBars({ bytes, codec }: Summary): Markup | undefined {
  if (bytes.fp32Total === 0) return undefined;
  const widest = Math.max(bytes.fp32Down, bytes.fp32Up, bytes.down, bytes.up);
  const direction = (name: string, sent: number, fp32: number): Markup => {
    const share = fp32 > 0 ? `, ${formatShare(sent / fp32)}` : '';
    return html`<div class="bars" role="img" aria-label="${name}: ${formatBytes(sent)} sent; ${formatBytes(fp32)} in float32">
<h4>${name}</h4>
${bar(codec, sent / widest, 'sent', `${formatBytes(sent)}${share}`)}
${bar('float32', fp32 / widest, 'fp32', formatBytes(fp32))}
</div>`;
  };
  return html`<div class="directions">${direction('Down: server to sites', bytes.down, bytes.fp32Down)}
${direction('Up: sites to server', bytes.up, bytes.fp32Up)}</div>`;
}

function bar(name: string, share: number, kind: string, value: string): Markup {
  const width = Math.max(0.2, share * 100).toFixed(2);
  return html`<div class="bar"><span class="bar-name">${name}</span><svg class="${kind}" width="100%" height="18" aria-hidden="true"><rect class="track" width="100%" height="18" rx="3"/><rect class="fill" width="${width}%" height="18" rx="3"/></svg><span class="bar-value">${value}</span></div>`;
}
