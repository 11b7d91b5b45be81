// The release of this code, which each side says in its hello.

/** The version of the package; a test holds it equal to package.json. */
export const RELEASE = '0.1.0';

/** The form of a release, for one that the other side says. */
export const RELEASE_PATTERN = /^\d{1,5}\.\d{1,5}\.\d{1,5}(?:-[0-9A-Za-z.-]{1,20})?$/;

/** Below 0 if the first release is older than the second, 0 if they are as old; a pre-release comes before its release. */
export function compareReleases(one: string, other: string): number {
  const [first, second] = [partsOf(one), partsOf(other)];
  const differs = first.numbers.findIndex((number, i) => number !== second.numbers[i]);
  if (differs >= 0) return (first.numbers[differs] as number) - (second.numbers[differs] as number);
  if (first.before === second.before) return 0;
  if (first.before === '' || second.before === '') return first.before === '' ? 1 : -1;
  return first.before < second.before ? -1 : 1;
}

function partsOf(release: string): { readonly numbers: readonly number[]; readonly before: string } {
  const [numbers = '', ...before] = release.split('-');
  return { numbers: numbers.split('.').map(Number), before: before.join('-') };
}
