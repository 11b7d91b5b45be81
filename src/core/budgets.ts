// The budgets of peers: the most that one can make this side hold, read, compute or wait for
// (docs/security.md has them as a table, made of this file).

/** One budget. */
export interface Budget {
  readonly limit: number;
  /** The unit of the limit, in the plural: `bytes`, `connections`, `ms`, … */
  readonly unit: string;
  /** The thing that has the budget: each `address`, each `session`, … */
  readonly each: string;
  /** The consequence for whoever exceeds it, and for nobody else. */
  readonly beyond: string;
  /** The reason for the number. */
  readonly why: string;
}

/**
 * Every budget by its name. A test of `test/hostile` reaches each: its title has `budget` and the
 * name.
 */
export const BUDGETS = {
  // Listeners and connections.
  connections: {
    limit: 32_768,
    unit: 'connections',
    each: 'hub, over all its listeners',
    beyond: 'a pending connection ends, of the address that has the most; a new one is closed where none is pending',
    why: '1,000 sites with 16 stripes each, twice over; the descriptors of the process may allow fewer',
  },
  pendingConnections: {
    limit: 2_048,
    unit: 'connections',
    each: 'hub, over all its listeners',
    beyond: 'one of the address that has the most ends: its oldest, or the new one where all are young (2 s)',
    why: '1,000 sites that come back at once over two connections each; one inside TLS takes up to 56 KB (measured)',
  },
  pendingOfAddress: {
    limit: 512,
    unit: 'connections',
    each: 'address (IPv4, or a /64 of IPv6)',
    beyond: 'its oldest pending connection ends, or the new one where all are young',
    why: 'many sites behind one proxy or NAT that come back at once; 28 MB inside TLS',
  },
  handshakeMs: {
    limit: 10_000,
    unit: 'ms',
    each: 'connection',
    beyond: 'the connection ends',
    why: 'long enough for TLS and the head of a request over a bad line',
  },
  helloMs: {
    limit: 30_000,
    unit: 'ms',
    each: 'connection',
    beyond: 'the connection ends',
    why: 'a site says who it is within a few round trips of connecting',
  },
  reservedDescriptors: {
    limit: 64,
    unit: 'file descriptors',
    each: 'process',
    beyond: 'a pending connection ends for each new one; with none pending, new ones are closed',
    why: 'spools, logs and models must be opened however many peers connect; a quarter of the limit where that is more',
  },
  headBytes: {
    limit: 16 * 1024,
    unit: 'bytes',
    each: 'request',
    beyond: 'the request is refused and its connection ends',
    why: 'the headers of browsers and proxies fit, with cookies of other servers of that host',
  },
  headFields: {
    limit: 128,
    unit: 'header fields',
    each: 'request',
    beyond: 'the request is refused',
    why: 'browsers and proxies send about 30',
  },
  openedIds: {
    limit: 1_024,
    unit: 'ids',
    each: 'http listener',
    beyond: 'the oldest id of the address that has the most is forgotten',
    why: 'an id costs a few hundred bytes until its connection begins, or 10 s are over',
  },
  callsOfSocket: {
    limit: 64,
    unit: 'calls',
    each: 'grpc socket',
    beyond: 'the call is refused',
    why: 'our clients make one; the library of another client may share a socket',
  },
  callBytesBeforeHello: {
    limit: 64 * 1024,
    unit: 'bytes',
    each: 'grpc socket',
    beyond: 'HTTP/2 lets the peer send no more',
    why: 'a hello is far smaller; the windows are widened once the peer is admitted',
  },
  pings: {
    limit: 1_000,
    unit: 'WebSocket pings without a message',
    each: 'connection',
    beyond: 'the connection ends',
    why: 'proxies ping a few times a minute, and heartbeats are messages',
  },
  fragments: {
    limit: 16 * 1024,
    unit: 'WebSocket fragments',
    each: 'message',
    beyond: 'the connection ends',
    why: 'a proxy may cut a frame of 4 MiB into pieces; each piece costs memory besides its bytes',
  },
  sameStrangerLines: {
    limit: 2,
    unit: 'lines of the log that differ in numbers alone',
    each: 'address without a name, in 10 s',
    beyond: 'they are counted, and one line after the 10 s says how many there were',
    why: 'the third says no more than the first',
  },
  strangerLines: {
    limit: 20,
    unit: 'kinds of lines of the log',
    each: 'address without a name, in 10 s',
    beyond: 'they are counted, and one line after the 10 s says how many there were',
    why: 'enough to see what a misconfigured site does; too few to fill a disk with lines of its choice',
  },
  allStrangerLines: {
    limit: 50,
    unit: 'lines of the log about peers without a name',
    each: 'hub, in 10 s',
    beyond: 'they are counted, and one line after the 10 s says how many there were',
    why: 'strangers from many addresses fill no disk either: some 100 MB a day at most',
  },

  // Frames, requests and streams of a session.
  controlBytes: {
    limit: 8 * 1024 * 1024,
    unit: 'bytes',
    each: 'session',
    beyond: 'the session ends',
    why: 'control frames are small and few; a peer that leaves so many unread has stopped reading',
  },
  helloBytes: {
    limit: 8 * 1024,
    unit: 'bytes',
    each: 'connection without a hello',
    beyond: 'the connection ends',
    why: 'a hello with the longest token and 64 features has less than 6 KiB; nothing behind it is read before it is accepted',
  },
  heldBytes: {
    limit: 128 * 1024,
    unit: 'bytes',
    each: 'connection without a hello',
    beyond: 'the connection ends',
    why: 'bytes that were under way when reading stopped: one read of 64 KiB, or the first window of HTTP/2',
  },
  helloItems: {
    limit: 512,
    unit: 'items',
    each: 'hello',
    beyond: 'the connection ends',
    why: 'a hello has ten fields and at most 64 features; each item costs many times its byte once it is decoded',
  },
  headerItems: {
    limit: 8 * 1024,
    unit: 'items',
    each: 'header of a control frame',
    beyond: 'the session ends',
    why: 'the largest header opens the stream of a result, with some hundred figures',
  },
  messageItems: {
    limit: 128 * 1024,
    unit: 'items',
    each: 'body of a request or a reply',
    beyond: 'the request is refused',
    why: 'the job of 10,000 sites has fewer; each item costs many times its byte once it is decoded',
  },
  openRequests: {
    limit: 256,
    unit: 'requests',
    each: 'session',
    beyond: 'the request is refused',
    why: 'a site has a handful under way',
  },
  openRequestBytes: {
    limit: 5 * 1024 * 1024,
    unit: 'bytes',
    each: 'session',
    beyond: 'the request is refused',
    why: 'one body of the largest frame; the reports of a site are some KiB',
  },
  openSends: {
    limit: 4,
    unit: 'objects that are sent',
    each: 'session',
    beyond: 'the request waits for its turn among the open ones',
    why: 'a site fetches one object after the other; more of them at once only share the path',
  },
  sendSilenceMs: {
    limit: 30 * 60 * 1000,
    unit: 'ms',
    each: 'object that is sent on request',
    beyond: 'that object is no longer sent',
    why: 'a site that goes on with a partial copy of 280 GB on a slow disk compares it first, which takes most of this',
  },
  incomingStreams: {
    limit: 32,
    unit: 'streams',
    each: 'session',
    beyond: 'the stream is refused',
    why: 'a site sends one result at a time, and asks for a few objects at once',
  },
  unacceptedStreams: {
    limit: 8,
    unit: 'streams',
    each: 'session',
    beyond: 'the stream is refused',
    why: 'a stream is accepted as soon as its turn comes; a site that reconnects has two of them',
  },
  earlyBytes: {
    limit: 8 * 1024 * 1024,
    unit: 'bytes',
    each: 'session',
    beyond: 'the session ends',
    why: 'they wait in memory until their stream is accepted; on a larger object the saved round trip counts little',
  },
  streamRetries: {
    limit: 1000,
    unit: 'leaves',
    each: 'stream',
    beyond: 'the stream ends',
    why: 'a link that corrupts so many leaves of one stream is broken',
  },
  windowBytes: {
    limit: 48 * 1024 * 1024,
    unit: 'bytes',
    each: 'session',
    beyond: 'the stream ends',
    why: '1 Gbit/s times 200 ms, twice over; the streams of a session share it',
  },
  unsortedConnections: {
    limit: 1024,
    unit: 'connections',
    each: 'listener',
    beyond: 'the oldest is taken for one without stripes',
    why: '1,000 sites that reconnect at once have not all sent their first frame',
  },
  stripeGroups: {
    limit: 1024,
    unit: 'incomplete groups of stripes',
    each: 'listener',
    beyond: 'the oldest group is closed',
    why: '1,000 sites that reconnect at once; of each stripe only the first frame is read',
  },
  stripeGroupsOfAddress: {
    limit: 256,
    unit: 'incomplete groups of stripes',
    each: 'address',
    beyond: 'the oldest group of that address is closed',
    why: 'the sites behind one NAT or proxy reconnect at once',
  },
  httpRequestsAhead: {
    limit: 16,
    unit: 'requests',
    each: 'connection over HTTP',
    beyond: 'the connection ends',
    why: 'a client has at most four without an answer, which a proxy may reorder; their bodies are not read',
  },

  // Admission.
  refusalPauseMs: {
    limit: 5_000,
    unit: 'ms',
    each: 'refusal',
    beyond: 'the pause grows no further',
    why: 'a person who mistyped a name waits no longer; whoever guesses gets one answer in 5 s a connection',
  },
  refusedOfAddress: {
    limit: 64,
    unit: 'refused peers that wait for their answer',
    each: 'address (IPv4, or a /64 of IPv6)',
    beyond: 'the next refused peer is cut off without an answer',
    why: 'many sites behind one proxy may be misconfigured at once; each costs a connection meanwhile',
  },
  refused: {
    limit: 512,
    unit: 'refused peers that wait for their answer',
    each: 'hub',
    beyond: 'the next refused peer is cut off without an answer',
    why: 'a quarter of the connections that may be pending',
  },

  // Manifests, models and spools.
  manifestBytes: {
    limit: 64 * 1024 * 1024,
    unit: 'bytes',
    each: 'object',
    beyond: 'the object is refused',
    why: 'a manifest of 100,000 tensors has some 13 MB, and one with extras a few times as much',
  },
  offeredManifestBytes: {
    limit: 32 * 1024 * 1024,
    unit: 'bytes',
    each: 'offered model',
    beyond: 'the offer is refused before its tensors are taken',
    why: 'a model whose tensors nobody knows yet: twice the largest that there are',
  },
  offeredTensors: {
    limit: 250_000,
    unit: 'tensors',
    each: 'offered model',
    beyond: 'the offer is refused before its tensors are taken',
    why: 'a mixture-of-experts model of hundreds of billions of parameters has some 100,000',
  },
  offeredChunkElements: {
    limit: 2 ** 20,
    unit: 'elements',
    each: 'chunk of a model whose tensors nobody knows yet',
    beyond: 'the model is refused before its tensors are taken',
    why: 'buffers for chunks are as large as their sender cuts them; four times the usual size',
  },
  manifestFactor: {
    limit: 3,
    unit: 'times the expected manifest',
    each: 'result or update',
    beyond: 'the object is refused before its tensors are taken',
    why: 'names and shapes are known; the encodings of tensors and the prefix of extras add to them',
  },
  objectFactor: {
    limit: 2,
    unit: 'times the model uncoded',
    each: 'result or update',
    beyond: 'the object is refused before its tensors are taken',
    why: 'sparse codes at their densest have one and a half times the bytes of float32',
  },
  offerBytes: {
    limit: 20e9,
    unit: 'bytes',
    each: 'offered model',
    beyond: 'the offer is refused before its tensors are taken',
    why: 'ten billion parameters in 16 bits; a job whose sites offer more says so (offerBytes)',
  },
  diskShare: {
    limit: 50,
    unit: 'percent of the space that was free',
    each: 'site, for all that a server makes it keep',
    beyond: 'the task fails with one error; nothing of the object is kept',
    why: 'a disk has other users; the owner says otherwise in site.json (diskBytes)',
  },
  diskReserveBytes: {
    limit: 1024 * 1024 * 1024,
    unit: 'bytes',
    each: 'disk that spools are written to (a twentieth of a small one)',
    beyond: 'the object is refused before it is taken',
    why: 'a disk that is full stops everything else on the machine, the log of it included',
  },
  modelTextBytes: {
    limit: 96 * 1024 * 1024,
    unit: 'bytes',
    each: 'run, for the texts of its model folder at a site',
    beyond: 'the site ends with one error',
    why: 'they are held in memory; the tokenizer of the largest vocabularies has some 35 MB',
  },

  // Figures, reports and rounds.
  figureSize: {
    limit: 100,
    unit: 'decimal digits',
    each: 'loss, rate, metric or count',
    beyond: 'the result or report is refused by the name of the figure',
    why: 'no loss that means anything is near it, and no sum or product of such figures overflows',
  },
  samples: {
    limit: 100_000_000_000,
    unit: 'samples',
    each: 'result or evaluation',
    beyond: 'the result is refused',
    why: 'more than any corpus has; the sum over 10,000 sites is still an exact integer',
  },
  stepNumber: {
    limit: 1_000_000_000_000,
    unit: 'steps or tokens',
    each: 'number of a step, count of steps or of the tokens of a step',
    beyond: 'the report or result is refused',
    why: 'a thousand steps a second for thirty years',
  },
  memoryFigure: {
    limit: 2 ** 50,
    unit: 'bytes',
    each: 'figure of memory',
    beyond: 'the report or result is refused',
    why: 'a PiB; no process has as much',
  },
  namedFigures: {
    limit: 64,
    unit: 'names',
    each: 'set of counts or metrics',
    beyond: 'the result is refused',
    why: 'filters and trainers name a handful; each is kept in the summary for every site and round',
  },
  stepsOfTask: {
    limit: 1_000_000,
    unit: 'steps',
    each: 'task whose number of steps the job leaves to the site',
    beyond: 'further steps are left out and counted; the run says so once',
    why: 'some 100 MB of metrics.jsonl; an epoch over a hundred million samples has fewer',
  },
  stepsTimesAsked: {
    limit: 10,
    unit: 'times the steps that the job asks for, and at least 10,000',
    each: 'task',
    beyond: 'further steps are left out and counted; the run says so once',
    why: 'a site that begins its task again after a crash repeats its steps, perhaps several times',
  },
  stepRate: {
    limit: 1_000,
    unit: 'steps a second since the task began, and 10,000 at once',
    each: 'site',
    beyond: 'further steps are left out and counted; the run says so once',
    why: 'the smallest models take a few hundred; after an outage a site sends what it has saved up',
  },
  reportRate: {
    limit: 200,
    unit: 'progress reports a second, and 2,000 at once',
    each: 'site',
    beyond: 'a report is answered later, which slows down a site that waits for its answers',
    why: 'a site has one report under way and puts all steps since the last one into it',
  },
  reportsWaiting: {
    limit: 32,
    unit: 'reports',
    each: 'site',
    beyond: 'the session ends',
    why: 'a site waits for the answer to each report, so it has one, or two after a reconnect',
  },
  memoryLines: {
    limit: 60,
    unit: 'memory events a minute',
    each: 'site',
    beyond: 'further ones are left out; the highest memory so far comes with the next',
    why: 'a site reports every two seconds, and with every few steps',
  },
  transferLines: {
    limit: 1_000,
    unit: 'transfer events',
    each: 'task',
    beyond: 'further ones are left out and counted; the run says so once',
    why: 'a task names at most 256 updates, and each may be fetched again after a broken connection',
  },
  leftOut: {
    limit: 100_000,
    unit: 'lines left out',
    each: 'task',
    beyond: 'the session ends',
    why: 'a site that goes on so far beyond its budgets does so on purpose',
  },
  logLines: {
    limit: 300,
    unit: 'log lines a minute',
    each: 'site',
    beyond: 'further ones are left out and counted',
    why: 'a site that reconnects every second writes two lines each time',
  },
  aliveTimes: {
    limit: 60,
    unit: 'times stragglerMs',
    each: 'task',
    beyond: 'a site that has only said that it is alive is given up for the round; `aliveMs` of the job sets it',
    why: 'two hours by default, for loading, compiling and evaluating the largest models',
  },
  graceTimes: {
    limit: 10,
    unit: 'times the time that the quorum took, and at least 30 times stragglerMs',
    each: 'round',
    beyond: 'the sites that are not done are given up for the round; `graceMs` of the job sets it',
    why: 'a site of a tenth of the speed still takes part; an hour at least, by default',
  },
  roundTime: {
    limit: 72 * 3_600_000,
    unit: 'ms',
    each: 'round',
    beyond: 'the sites that are not done are given up for the round; `roundMs` of the job sets it',
    why: '140 billion parameters in bfloat16 take six hours at 100 Mbit/s, and days are left to train',
  },

  // Texts and configurations from the other side.
  tokenizerMs: {
    limit: 60_000,
    unit: 'ms',
    each: 'megabyte of text',
    beyond: 'the tokenizer is stopped, and the site or the command ends with one error',
    why: 'a tokenizer encodes some megabytes a second; a regular expression that backtracks never ends',
  },
  tokenizerHeap: {
    limit: 2 * 1024 * 1024 * 1024,
    unit: 'bytes',
    each: 'tokenizer',
    beyond: 'the tokenizer is stopped, and the site or the command ends with one error',
    why: 'the largest vocabularies take some 500 MB; replacements that double a text know no bound',
  },
  configurationBytes: {
    limit: 1024 * 1024,
    unit: 'bytes',
    each: 'config.json or tokenizer_config.json',
    beyond: 'the model is refused by the name of the file',
    why: 'configurations have a few KiB, those with chat templates some 50',
  },
  errorText: {
    limit: 8_192,
    unit: 'characters',
    each: 'message of an error',
    beyond: 'the message is cut and says so',
    why: 'a name in a file may have megabytes, and each message goes to terminals, logs and peers',
  },
  eventText: {
    limit: 4_096,
    unit: 'characters',
    each: 'warning or reason among the events',
    beyond: 'the text is cut and says so',
    why: 'a line of events.jsonl must stay below the longest that is read back, whatever it quotes',
  },
  reasonText: {
    limit: 1_000,
    unit: 'characters',
    each: 'reason that a site gives for a failure',
    beyond: 'the text is cut and says so',
    why: "a sentence and the end of a traceback; the whole is in the site's own log",
  },
} as const satisfies Readonly<Record<string, Budget>>;

/** The name of a budget. */
export type BudgetName = keyof typeof BUDGETS;
