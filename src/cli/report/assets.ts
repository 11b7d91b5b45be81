// Files that a report embeds: uPlot, its style, and the script that draws the plots.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { asFedStreamError } from '../../core/errors.js';
import { builtProgram } from '../../node/built-file.js';

/** Texts of the embedded files. */
export interface ReportAssets {
  readonly plotScript: string;
  readonly plotStyle: string;
  readonly pageScript: string;
}

/** Reads the files from the installed packages and from the build. */
export function reportAssets(): ReportAssets {
  const require = createRequire(import.meta.url);
  try {
    return {
      plotScript: readFileSync(require.resolve('uplot/dist/uPlot.iife.min.js'), 'utf8'),
      plotStyle: readFileSync(require.resolve('uplot/dist/uPlot.min.css'), 'utf8'),
      pageScript: readFileSync(builtProgram('draw-plots'), 'utf8'),
    };
  } catch (cause) {
    throw asFedStreamError(
      cause,
      'not-found',
      'the report needs files of the installation that are missing; run `npm ci` and `npm run build`',
    );
  }
}
