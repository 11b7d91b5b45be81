// Facts for the generated tasks: small tables that every reader knows.

/** Country → capital. */
export const CAPITALS: Readonly<Record<string, string>> = {
  France: 'Paris',
  Italy: 'Rome',
  Spain: 'Madrid',
  Germany: 'Berlin',
  Japan: 'Tokyo',
  Egypt: 'Cairo',
  Greece: 'Athens',
  Norway: 'Oslo',
  Austria: 'Vienna',
  Poland: 'Warsaw',
  Portugal: 'Lisbon',
  Ireland: 'Dublin',
  Cuba: 'Havana',
  Peru: 'Lima',
  China: 'Beijing',
  Kenya: 'Nairobi',
};

/** Word → its opposite. */
export const OPPOSITES: Readonly<Record<string, string>> = {
  hot: 'cold',
  big: 'small',
  fast: 'slow',
  up: 'down',
  day: 'night',
  happy: 'sad',
  old: 'young',
  open: 'closed',
  full: 'empty',
  wet: 'dry',
  light: 'dark',
  high: 'low',
  rich: 'poor',
  strong: 'weak',
  early: 'late',
  hard: 'soft',
  long: 'short',
  loud: 'quiet',
  left: 'right',
  clean: 'dirty',
};

/** Animal → its young. */
export const YOUNG: Readonly<Record<string, string>> = {
  dog: 'puppy',
  cat: 'kitten',
  cow: 'calf',
  sheep: 'lamb',
  horse: 'foal',
  goat: 'kid',
  pig: 'piglet',
  hen: 'chick',
  duck: 'duckling',
  bear: 'cub',
  frog: 'tadpole',
  swan: 'cygnet',
  goose: 'gosling',
  deer: 'fawn',
  kangaroo: 'joey',
};

/** Thing → its colour. */
export const COLOURS: Readonly<Record<string, string>> = {
  grass: 'green',
  snow: 'white',
  coal: 'black',
  blood: 'red',
  'the sky': 'blue',
  'a banana': 'yellow',
  'a carrot': 'orange',
  milk: 'white',
  'a leaf': 'green',
  'a tomato': 'red',
  'the sun': 'yellow',
  'a lemon': 'yellow',
  'a raven': 'black',
  'the sea': 'blue',
  chocolate: 'brown',
  'a plum': 'purple',
};

/** Thing → its kind. */
export const KINDS: Readonly<Record<string, string>> = {
  rose: 'flower',
  tulip: 'flower',
  daisy: 'flower',
  oak: 'tree',
  pine: 'tree',
  birch: 'tree',
  salmon: 'fish',
  trout: 'fish',
  shark: 'fish',
  eagle: 'bird',
  owl: 'bird',
  robin: 'bird',
  hammer: 'tool',
  saw: 'tool',
  drill: 'tool',
  piano: 'instrument',
  violin: 'instrument',
  flute: 'instrument',
  apple: 'fruit',
  pear: 'fruit',
  grape: 'fruit',
};

/** Days of the week, in order. */
export const DAYS: readonly string[] = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];

/** Months, in order. */
export const MONTHS: readonly string[] = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

/** Words of lists whose tasks need reading, not knowledge. */
export const WORDS: readonly string[] = [
  'apple',
  'river',
  'stone',
  'cloud',
  'horse',
  'table',
  'green',
  'seven',
  'music',
  'bread',
  'tiger',
  'paper',
  'light',
  'chair',
  'ocean',
  'plant',
];

/** Names of the numbers from 0. */
export const NUMBER_NAMES: readonly string[] = ['zero', 'one', 'two', 'three', 'four', 'five', 'six'];
