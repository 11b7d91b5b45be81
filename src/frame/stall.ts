// Lets a peer that is going to be refused wait for its answer.

/**
 * Resolves after so many milliseconds, when the frames end, or when the signal is aborted. Frames
 * that come meanwhile are dropped, by `drop`. Never rejects, and leaves no timer behind.
 */
export async function stall(
  frames: AsyncIterator<Uint8Array>,
  ms: number,
  drop: (frame: Uint8Array) => void,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return;
  let end = (): void => {};
  const over = new Promise<void>((resolve) => {
    end = resolve;
  });
  let waiting = true;
  const leaves = async (): Promise<void> => {
    for (let next = await frames.next(); waiting && !next.done; next = await frames.next()) drop(next.value);
  };
  const timer = setTimeout(end, ms);
  signal.addEventListener('abort', end, { once: true });
  leaves().then(end, end);
  await over;
  waiting = false;
  clearTimeout(timer);
  signal.removeEventListener('abort', end);
}
