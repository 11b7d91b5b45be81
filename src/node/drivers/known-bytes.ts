// What a listener is, by the first bytes that it sends.

/** The first frame of a server of HTTP/2: settings, of stream 0 (RFC 9113, 3.4). */
function isHttp2(bytes: Buffer): boolean {
  return bytes.length >= 9 && bytes[0] === 0 && bytes[3] === 4 && bytes.readUInt32BE(5) === 0;
}

/** Banners and answers of servers at which people end by a wrong port. */
const BANNERS: readonly (readonly [begins: RegExp, name: string])[] = [
  [/^SSH-/, 'an SSH server'],
  [/^\* OK/, 'an IMAP server'],
  [/^\+OK/, 'a POP3 server'],
  [/^220[ -].*ftp/i, 'an FTP server'],
  [/^(220|421|554)[ -]/, 'a mail server (SMTP)'],
  [/^RFB \d/, 'a VNC server'],
  [/^-(ERR|DENIED|NOAUTH)/, 'a Redis server'],
  [/^@RSYNCD:/, 'an rsync server'],
  [/^.{3}\0\n.{0,60}(MariaDB|mysql|caching_sha2)/is, 'a MySQL server'],
];

/** The kind of listener that sends these bytes. */
export type Listening =
  | { readonly kind: 'http2' }
  | { readonly kind: 'http'; readonly text: string }
  | { readonly kind: 'other'; readonly name: string };

/** Reads the first bytes of a listener in plain text or inside TLS; undefined where there are none. */
export function listeningBy(bytes: Buffer): Listening | undefined {
  if (bytes.length === 0) return undefined;
  if (isHttp2(bytes)) return { kind: 'http2' };
  const text = bytes.toString('latin1');
  if (/^HTTP\/\d/.test(text)) return { kind: 'http', text };
  const name = BANNERS.find(([begins]) => begins.test(text))?.[1] ?? 'something that is no FedStream server';
  const [line = ''] = text.slice(0, SHOWN_CHARACTERS).split(/[\r\n]/, 1);
  return { kind: 'other', name: /^[\x20-\x7e]+$/.test(line) ? `${name} (it says ${JSON.stringify(line)})` : name };
}

const SHOWN_CHARACTERS = 60;
