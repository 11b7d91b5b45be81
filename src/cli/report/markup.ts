// HTML templates that escape every value, except what another template made.
import { visible } from '../../core/visible.js';

/** A piece of HTML that is safe to put into a page. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A value that a template takes. */
export type MarkupValue = string | number | false | Markup | null | undefined | readonly MarkupValue[];

/**
 * A template whose values are escaped, for text and for quoted attributes alike. Arrays are joined;
 * null, undefined and false are left out.
 */
export function html(parts: TemplateStringsArray, ...values: readonly MarkupValue[]): Markup {
  return new Markup(parts.map((part, index) => part + (index < values.length ? markupOf(values[index]) : '')).join(''));
}

function markupOf(value: MarkupValue): string {
  if (value === null || value === undefined || value === false) return '';
  if (value instanceof Markup) return value.text;
  if (Array.isArray(value)) return value.map(markupOf).join('');
  return escapeText(String(value));
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escapeText(text: string): string {
  return visible(text).replace(/[&<>"']/g, (character) => ENTITIES[character] as string);
}

/**
 * JSON that can stand in a `<script>` element: nothing in it can end the element or begin a
 * comment.
 */
export function jsonMarkup(value: unknown): Markup {
  return new Markup(
    JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`),
  );
}
