// Reads declaration files of `tsc`: the names that a module exports, with docstrings and texts.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Statements that end with their closing brace; every other one ends with a semicolon. */
const BLOCKS = /^(?:export\s+)?(?:declare\s+)?(?:abstract\s+)?(?:interface|class|namespace|enum)\b/;
const DECLARED =
  /^(?<exported>export\s+)?(?:declare\s+)?(?:abstract\s+)?(?:interface|class|namespace|enum|function|const|let|type)\s+(?<name>[\w$]+)/;
const LISTED = /^(?<kind>import|export)\s+(?:type\s+)?\{(?<names>[^}]*)\}(?:\s*from\s*['"](?<from>[^'"]+)['"])?/;

/**
 * Returns the top-level statements of a declaration file as `{ doc, text }`, the doc without its
 * stars.
 */
export function statementsOf(source) {
  const statements = [];
  let at = 0;
  let doc = '';
  while (at < source.length) {
    const comment = /^\/\*[\s\S]*?\*\/|^\/\/[^\n]*/.exec(source.slice(at));
    if (comment) {
      if (comment[0].startsWith('/**')) doc = withoutStars(comment[0]);
      at += comment[0].length;
    } else if (/\s/.test(source[at])) at++;
    else {
      const end = endOfStatement(source, at);
      statements.push({ doc, text: source.slice(at, end).trim() });
      doc = '';
      at = end;
    }
  }
  return statements;
}

function endOfStatement(source, start) {
  const isBlock = BLOCKS.test(source.slice(start, start + 200));
  let depth = 0;
  for (let at = start; at < source.length; at++) {
    const skipped = /^(?:\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`)/.exec(source.slice(at));
    if (skipped) at += skipped[0].length - 1;
    else if ('{(['.includes(source[at])) depth++;
    else if ('})]'.includes(source[at])) {
      depth--;
      if (depth === 0 && isBlock && source[at] === '}') return at + 1;
    } else if (source[at] === ';' && depth === 0) return at + 1;
  }
  return source.length;
}

function withoutStars(comment) {
  return comment
    .slice(3, -2)
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trim())
    .join('\n')
    .trim();
}

/** Modules of declarations; each file is read once. */
export class Declarations {
  #modules = new Map();

  /**
   * Reads a module: its `own` and `imported` names, and its `exported` names with the place that
   * each comes from.
   */
  #module(file) {
    const known = this.#modules.get(file);
    if (known) return known;
    const module = { own: new Map(), imported: new Map(), exported: new Map() };
    this.#modules.set(file, module);
    for (const { doc, text } of statementsOf(readFileSync(file, 'utf8'))) {
      const { names, kind, from } = LISTED.exec(text)?.groups ?? {};
      if (names !== undefined) this.#list(module, kind, names, from && resolveModule(file, from));
      const { name, exported } = DECLARED.exec(text)?.groups ?? {};
      if (name === undefined) continue;
      const before = module.own.get(name);
      module.own.set(name, { file, name, doc: before?.doc || doc, texts: [...(before?.texts ?? []), text] });
      if (exported) module.exported.set(name, { file, name });
    }
    return module;
  }

  #list(module, kind, names, from) {
    for (const part of names.split(',').map((text) => text.trim().replace(/^type\s+/, ''))) {
      if (part === '') continue;
      const [inner, outer = inner] = part.split(/\s+as\s+/);
      const target = { file: from, name: inner };
      if (kind === 'import') module.imported.set(outer, target);
      else module.exported.set(outer, from === undefined ? (module.imported.get(inner) ?? { ...target, file: undefined }) : target);
    }
  }

  /**
   * Returns all names that a file exports, in alphabetical order: `{ as, file, name, doc, texts }`.
   */
  exportsOf(file) {
    return [...this.#module(file).exported.keys()].sort().map((as) => ({ as, ...this.#find(file, as) }));
  }

  #find(file, name) {
    const module = this.#module(file);
    const target = module.exported.get(name);
    if (target === undefined) throw new Error(`${file}: exports no ${name}`);
    const own = target.file === undefined || target.file === file;
    if (!own && !target.file.endsWith('.d.ts')) throw new Error(`${file}: ${name} is from the package ${target.file}; declare it here`);
    const found = own ? module.own.get(target.name) : this.#find(target.file, target.name);
    if (found === undefined) throw new Error(`${file}: ${name} has no declaration`);
    return found;
  }

  /**
   * Returns the declarations of this tree that a declaration names, from its own module and its
   * imports.
   */
  namedBy({ file, name, texts }) {
    const { own, imported } = this.#module(file);
    const words = new Set(texts.flatMap((text) => withoutComments(text).match(/[\w$]+/g) ?? []));
    const found = [];
    for (const word of words) {
      const target = imported.get(word);
      if (target?.file?.endsWith('.d.ts')) found.push(this.#find(target.file, target.name));
      else if (word !== name && own.has(word)) found.push(own.get(word));
    }
    return found;
  }
}

function resolveModule(file, from) {
  return from.startsWith('.') ? join(dirname(file), from.replace(/\.js$/, '.d.ts')) : from;
}

function withoutComments(text) {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"/g, ' ');
}
