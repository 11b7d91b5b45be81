// Situations with files of data: compression, encodings, formats, and files that are something else.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { type DataInput, readInput } from './data-input.js';
import type { FieldTable } from './situation.js';

/** Small files of pyarrow, datasets and zstandard, in base64. */
const BYTES = JSON.parse(readFileSync(new URL('./fixtures/data-bytes.json', import.meta.url), 'utf8')) as Record<string, string>;
const fixture = (name: string): Uint8Array => Buffer.from(BYTES[name] as string, 'base64');

const LINE = '{"prompt":"Wie heißt er?","completion":"Jürgen\u2028"}\n';
const ONE = [{ prompt: 'Wie heißt er?', answer: 'Jürgen\u2028' }];
const wide = (text: string, swap = false): Buffer => (swap ? Buffer.from(text, 'utf16le').swap16() : Buffer.from(text, 'utf16le'));
const COLUMNS = [0, 1, 2].map((i) => ({ prompt: `p${i}`, answer: `c${i}`, category: String(i % 2) }));
const TURNS = [0, 1].map((i) => ({ prompt: `u${i}`, answer: `a${i}` }));
const SAVED = { 'dataset_info.json': '{}', 'state.json': BYTES.state as string, 'data-00000-of-00001.arrow': fixture('arrow') };
const within = (folder: string, files: Readonly<Record<string, string | Uint8Array>>) =>
  Object.fromEntries(Object.entries(files).map(([name, content]) => [`${folder}/${name}`, content]));
const PAIR = [{ prompt: 'p', answer: 'a' }];

export const DATA_FILES: FieldTable<DataInput> = {
  title: 'Files of data',
  intro: 'A file is read by its content, whatever its name is.',
  run: readInput,
  rows: [
    {
      name: 'gzip under a .jsonl name',
      from: 'datasets',
      input: { files: { 'data.jsonl': gzipSync(LINE) } },
      gives: ONE,
      advice: 'Read as it is; no need to unpack it.',
    },
    {
      name: 'gzip in several members, as `cat a.gz b.gz` makes it',
      from: 'a shared folder',
      input: { files: { 'data.json.gz': Buffer.concat([gzipSync(LINE), gzipSync(LINE)]) } },
      gives: [...ONE, ...ONE],
      advice: 'All members are read.',
    },
    {
      name: 'gzip that was cut off',
      from: 'a download',
      input: { files: { 'data.jsonl.gz': gzipSync(LINE.repeat(50)).subarray(0, 60) } },
      refusal: /data\.jsonl\.gz is gzip that is broken or cut off .*fetch it again/,
      advice: 'Fetch it again; nothing is trained on the part that came.',
    },
    {
      name: 'Zstandard',
      from: 'The Pile, datasets',
      input: { files: { 'data.jsonl.zst': fixture('zstd') } },
      gives: COLUMNS.map(({ prompt, answer }) => ({ prompt, answer })),
      advice: 'Read as it is (with the package fzstd under Node before 22.15).',
    },
    {
      name: 'UTF-8 with a byte order mark',
      from: 'Excel, PowerShell',
      input: { files: { 'data.jsonl': `\uFEFF${LINE}` } },
      gives: ONE,
      advice: 'Read as it is.',
    },
    {
      name: 'UTF-16 with a byte order mark',
      from: 'PowerShell',
      input: { files: { 'data.jsonl': wide(`\uFEFF${LINE}`) } },
      gives: ONE,
      advice: 'Read as it is.',
    },
    {
      name: 'big-endian UTF-16 with a byte order mark',
      from: 'Java',
      input: { files: { 'data.jsonl': wide(`\uFEFF${LINE}`, true) } },
      gives: ONE,
      advice: 'Read as it is.',
    },
    {
      name: 'UTF-16 without a byte order mark',
      from: 'Windows programs',
      input: { files: { 'data.jsonl': wide(LINE.repeat(3)) } },
      gives: [...ONE, ...ONE, ...ONE],
      advice: 'Read as it is.',
    },
    {
      name: 'UTF-16 within gzip',
      from: 'Windows programs',
      input: { files: { 'data.gz': gzipSync(wide(`\uFEFF${LINE}`)) } },
      gives: ONE,
      advice: 'Read as it is.',
    },
    {
      name: 'Latin-1',
      from: 'old databases',
      input: { files: { 'data.jsonl': Buffer.from('{"prompt":"Wie heißt er?","completion":"J"}\n', 'latin1') } },
      refusal: /line 1 is not UTF-8 text; if it is Latin-1, rewrite it: iconv -f LATIN1 -t UTF-8/,
      advice: 'Rewrite it with iconv; guesses would change letters in silence.',
    },
    {
      name: 'lines that end as Windows ends them',
      from: 'Windows programs',
      input: { files: { 'data.jsonl': LINE.repeat(2).replaceAll('\n', '\r\n') } },
      gives: [...ONE, ...ONE],
      advice: 'Read as it is.',
    },
    {
      name: 'a JSON array',
      from: 'Alpaca',
      input: { files: { 'data.json': `[${LINE},${LINE}]` } },
      gives: [...ONE, ...ONE],
      advice: 'Read item by item, in any layout.',
    },
    {
      name: 'an object with a list in it',
      from: 'SQuAD, web interfaces',
      input: { files: { 'data.json': JSON.stringify({ version: '1.1', data: [{ question: 'p', answer: 'a' }] }) } },
      gives: PAIR,
      advice: 'The list is read.',
    },
    {
      name: 'an object over several lines with a list in it',
      from: 'editors, json.dump(indent=2)',
      input: { files: { 'data.json': JSON.stringify({ examples: [{ question: 'p', answer: 'a' }] }, null, 2) } },
      gives: PAIR,
      advice: 'The list is read.',
    },
    {
      name: 'an object with two lists in it',
      from: 'web interfaces',
      input: {
        files: { 'data.json': JSON.stringify({ train: [{ prompt: 'p', completion: 'a' }], test: [{ prompt: 'p', completion: 'a' }] }) },
      },
      refusal: /several lists \(train, test\).*jq -c '\.train\[\]' FILE > train\.jsonl/,
      advice: 'Put the list that you mean into a file of its own; the message has the command.',
    },
    {
      name: 'objects over several lines, one after the other',
      from: 'jq',
      input: { files: { 'data.json': `${JSON.stringify({ prompt: 'p', completion: 'a' }, null, 2)}\n`.repeat(2) } },
      gives: [...PAIR, ...PAIR],
      advice: 'Read as it is.',
    },
    {
      name: 'columns as lists',
      from: 'Dataset.to_dict',
      input: { files: { 'data.json': JSON.stringify({ prompt: ['p', 'q'], response: ['a', 'b'] }) } },
      gives: [...PAIR, { prompt: 'q', answer: 'b' }],
      advice: 'Read row by row.',
    },
    {
      name: 'columns with an index',
      from: 'pandas.to_json',
      input: { files: { 'data.json': JSON.stringify({ prompt: { 0: 'p', 1: 'q' }, response: { 0: 'a', 1: 'b' } }) } },
      gives: [...PAIR, { prompt: 'q', answer: 'b' }],
      advice: 'Read row by row.',
    },
    {
      name: 'CSV with quotes, commas and line feeds in its cells',
      from: 'Excel, pandas',
      input: { files: { 'data.csv': 'id,prompt,response\n1,"a, ""b""\nc",yes\n' } },
      gives: [{ prompt: 'a, "b"\nc', answer: 'yes' }],
      advice: 'Read by the names in its first line.',
    },
    {
      name: 'TSV',
      from: 'spreadsheets',
      input: { files: { 'data.tsv': 'question\tanswer\r\np\ta\r\n' } },
      gives: PAIR,
      advice: 'Read by the names in its first line.',
    },
    {
      name: 'CSV with semicolons and columns of its own',
      from: 'Excel in Europe',
      input: { files: { 'data.csv': 'Frage;Antwort\np;a\n' }, fields: 'prompt=Frage,answer=Antwort' },
      gives: PAIR,
      advice: 'Name the columns: --fields prompt=Frage,answer=Antwort.',
    },
    {
      name: 'a CSV record with a cell too many',
      from: 'hand-made tables',
      input: { files: { 'data.csv': 'prompt,response\np,a\np,a,b\n' } },
      gives: PAIR,
      warning: /1 of 2 samples are left out: .*line 3: 3 cells for 2 columns/,
      advice: 'The record is left out and counted; --strict makes it an error.',
    },
    ...(['snappy', 'zstd', 'gzip', 'none'] as const).map((compression) => ({
      name: `Parquet, compression ${compression}`,
      from: 'Hugging Face hub',
      input: { files: { 'train-00000-of-00001.parquet': fixture(`parquet-${compression}`) } },
      gives: COLUMNS,
      advice: 'Read as it is (with the packages hyparquet and hyparquet-compressors).',
    })),
    {
      name: 'Parquet with conversations',
      from: 'Hugging Face hub',
      input: { files: { 'train.parquet': fixture('parquet-messages') } },
      gives: TURNS,
      advice: 'Read as it is.',
    },
    {
      name: 'Parquet that was cut off',
      from: 'a download',
      input: { files: { 'train.parquet': fixture('parquet-none').subarray(0, 200) } },
      refusal: /is a Parquet file that is broken or cut off .*fetch it again/,
      advice: 'Fetch it again.',
    },
    {
      name: 'a folder of Dataset.save_to_disk',
      from: 'datasets',
      input: { files: within('saved', SAVED), path: 'saved' },
      gives: COLUMNS,
      advice: 'Give the folder (with the package @uwdata/flechette).',
    },
    {
      name: 'the Arrow file within such a folder, with conversations',
      from: 'datasets',
      input: { files: { 'data-00000-of-00001.arrow': fixture('arrow-messages') } },
      gives: TURNS,
      advice: 'Read as it is.',
    },
    {
      name: 'a folder of DatasetDict.save_to_disk with two splits',
      from: 'datasets',
      input: { files: { 'saved/dataset_dict.json': '{"splits": ["train", "test"]}', ...within('saved/train', SAVED) }, path: 'saved' },
      refusal: /has the splits train, test; give one of them: .*saved\/train/,
      advice: 'Give the folder of one split.',
    },
    {
      name: 'a Git LFS pointer',
      from: 'Hugging Face hub',
      input: { files: { 'data.jsonl': 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n' } },
      refusal: /data\.jsonl is a Git LFS pointer.*git lfs pull/,
      advice: 'Fetch the file itself; the message has the command.',
    },
    {
      name: 'a web page in the place of the file',
      from: 'a download',
      input: { files: { 'data.jsonl': '<!DOCTYPE html><html><head><title>Sign in</title></head></html>' } },
      refusal: /data\.jsonl is a web page .*Sign in.*may need a login/,
      advice: 'Download it again, with a login or the address of the raw file.',
    },
    {
      name: 'a ZIP archive',
      from: 'Kaggle',
      input: { files: { 'data.zip': Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(40)]) } },
      refusal: /data\.zip is a ZIP archive.*unzip ".*data\.zip"/,
      advice: 'Unpack it, and give the file within.',
    },
    {
      name: 'a TAR archive within gzip',
      from: 'academic servers',
      input: { files: { 'data.tar.gz': gzipSync(Buffer.concat([Buffer.alloc(257, 'x'), Buffer.from('ustar'), Buffer.alloc(300)])) } },
      refusal: /data\.tar\.gz is a gzip file with a TAR archive in it.*tar -xf/,
      advice: 'Unpack it, and give the file within.',
    },
    {
      name: 'an xz file',
      from: 'The Pile',
      input: { files: { 'data.xz': Buffer.concat([Buffer.from('fd377a585a00', 'hex'), Buffer.alloc(60)]) } },
      refusal: /data\.xz is an xz file.*xz -d --keep/,
      advice: 'Unpack it, or use gzip or zstd.',
    },
    {
      name: 'a Python pickle',
      from: 'scripts',
      input: { files: { 'data.pkl': Buffer.from('80049503000000', 'hex') } },
      refusal: /data\.pkl is a Python pickle.*is a program, which is not run here/,
      advice: 'Export JSON lines where it was made.',
    },
    {
      name: 'an empty file',
      from: 'a download',
      input: { files: { 'data.jsonl': '' } },
      refusal: /data\.jsonl has no samples/,
      advice: 'Fetch or write it again.',
    },
  ],
};
