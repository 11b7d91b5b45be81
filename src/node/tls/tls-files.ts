// Reads certificates and keys, and checks them before anybody connects.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { FedStreamError } from '../../core/errors.js';
import type { TlsMaterial } from '../drivers/tls.js';
import { ioError } from '../storage/io-error.js';
import { readSecretText } from './secret-files.js';

/** The paths of PEM files. */
export interface TlsFiles {
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly ca?: string | undefined;
}

const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * Reads the files. Throws `bad-argument`, `not-found` or `io`, with the file's name, if one cannot
 * be used, or if others may read the key.
 */
export function readTlsFiles(files: TlsFiles): TlsMaterial {
  const { cert: certPath, key: keyPath, ca: caPath } = files;
  if ((certPath === undefined) !== (keyPath === undefined))
    throw new FedStreamError('bad-argument', 'a certificate and its key go together; give both --tls-cert and --tls-key');
  const ca = caPath === undefined ? undefined : readText(caPath);
  if (ca !== undefined) readCertificates(ca, caPath as string);
  if (certPath === undefined || keyPath === undefined) return { ca };
  const cert = readText(certPath);
  const key = readSecretText(keyPath);
  const own = readCertificates(cert, certPath)[0] as X509Certificate;
  if (!own.checkPrivateKey(readKey(key, keyPath)))
    throw new FedStreamError(
      'bad-argument',
      `${keyPath} is not the key of the certificate in ${certPath}; give the two that belong together`,
    );
  return { cert, key, ca };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw ioError(cause, 'read', path);
  }
}

/** The certificates in a text: at least one, each valid today. */
function readCertificates(text: string, path: string): X509Certificate[] {
  const blocks = text.match(BLOCK);
  if (!blocks) throw new FedStreamError('bad-argument', `${path} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)`);
  const certificates = blocks.map((block) => parseCertificate(block, path));
  const now = Date.now();
  for (const { subject, validFrom, validTo } of certificates) {
    const name = subject?.replaceAll('\n', ', ') ?? 'no name';
    if (Date.parse(validTo) < now)
      throw new FedStreamError('bad-argument', `the certificate of ${name} in ${path} expired on ${validTo}; renew it`);
    if (Date.parse(validFrom) > now)
      throw new FedStreamError(
        'bad-argument',
        `the certificate of ${name} in ${path} is valid from ${validFrom} on; set this machine's clock`,
      );
  }
  return certificates;
}

function parseCertificate(block: string, path: string): X509Certificate {
  try {
    return new X509Certificate(block);
  } catch (cause) {
    throw new FedStreamError('bad-argument', `${path} holds a certificate that cannot be read: ${(cause as Error).message}`, { cause });
  }
}

function readKey(text: string, path: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch (cause) {
    const encrypted = /ENCRYPTED/.test(text);
    const why = encrypted ? 'it is encrypted; give one without a passphrase' : 'it is no private key in PEM form';
    throw new FedStreamError('bad-argument', `${path} cannot be used as a key: ${why}`, { cause });
  }
}
