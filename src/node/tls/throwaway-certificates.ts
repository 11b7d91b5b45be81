// Short-lived certificates of an own authority, for simulations and tests.
import { randomBytes, webcrypto } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { needPackage } from '../drivers/need-package.js';

/** Long enough for a simulation that runs for days. */
const VALID_DAYS = 30;
const DAY_MS = 86_400_000;
/** Certificates have whole seconds, so they begin a little in the past. */
const EARLIER_MS = 60_000;

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A certificate and its key, as PEM text. */
export interface CertificateAndKey {
  readonly cert: string;
  readonly key: string;
}

/** The dates and further names of a certificate. */
export interface IssueOptions {
  /** Defaults to now. */
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** DNS names and IP addresses besides the common name. */
  readonly alsoFor?: readonly string[];
}

/** Signs certificates. Its key lives in memory only. */
export interface ThrowawayAuthority {
  /** Its own certificate, as PEM text. */
  readonly ca: string;
  issue(name: string, options?: IssueOptions): Promise<CertificateAndKey>;
}

/** Makes an authority; rejects with `unsupported` if a package is missing. */
export async function throwawayAuthority(name = 'FedStream throw-away authority'): Promise<ThrowawayAuthority> {
  await needPackage('reflect-metadata', 'throw-away certificates', () => import('reflect-metadata'));
  const x509 = await needPackage('@peculiar/x509', 'throw-away certificates', () => import('@peculiar/x509'));
  const provider = webcrypto as unknown as Crypto;
  const dates = (options: IssueOptions) => ({
    notBefore: options.notBefore ?? new Date(Date.now() - EARLIER_MS),
    notAfter: options.notAfter ?? new Date(Date.now() + VALID_DAYS * DAY_MS),
  });
  const newKeys = () => provider.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const keys = await newKeys();
  const authority = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(),
      name: `CN=${name}`,
      ...dates({}),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      ],
    },
    provider,
  );
  const issue = async (subject: string, options: IssueOptions = {}): Promise<CertificateAndKey> => {
    const own = await newKeys();
    const names = [subject, ...(options.alsoFor ?? [])].map((value) => ({ type: isAddress(value) ? 'ip' : 'dns', value }) as const);
    const certificate = await x509.X509CertificateGenerator.create(
      {
        serialNumber: serialNumber(),
        subject: `CN=${subject}`,
        issuer: authority.subject,
        ...dates(options),
        signingAlgorithm: ALGORITHM,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
          new x509.SubjectAlternativeNameExtension(names),
        ],
      },
      provider,
    );
    const key = x509.PemConverter.encode(await provider.subtle.exportKey('pkcs8', own.privateKey), 'PRIVATE KEY');
    return { cert: certificate.toString('pem'), key };
  };
  return { ca: authority.toString('pem'), issue };
}

/** The paths of one endpoint's files. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/**
 * Writes `ca.crt`, and `<name>.crt` and `<name>.key` for the server (`localhost`) and each site;
 * only their owner can read the keys. Resolves with the paths by name.
 */
export async function writeThrowawayCertificates(folder: string, sites: readonly string[]): Promise<(name: string) => CertificateFiles> {
  const authority = await throwawayAuthority();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const ca = join(folder, 'ca.crt');
  writeFileSync(ca, authority.ca);
  const files = (name: string): CertificateFiles => ({ cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`), ca });
  const write = async (name: string, options?: IssueOptions): Promise<void> => {
    const { cert, key } = await authority.issue(name, options);
    writeFileSync(files(name).cert, cert);
    writeFileSync(files(name).key, key, { mode: 0o600 });
  };
  await write('localhost', { alsoFor: ['127.0.0.1', '::1'] });
  for (const site of sites) await write(site);
  return files;
}

function serialNumber(): string {
  return `01${randomBytes(8).toString('hex')}`;
}

function isAddress(name: string): boolean {
  return /^\d+\.\d+\.\d+\.\d+$/.test(name) || name.includes(':');
}
