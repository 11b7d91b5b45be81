// A page that uses the entries which run anywhere: it must compile with no types but the browser's.
import { memoryFolder, Retriever, referenceCodecs, Session } from 'fedstream';
import { fetchClient, webSocketClient } from 'fedstream/web';

/** Asks a server for a model and returns its size in elements. */
export async function elementsOf(url: string): Promise<number> {
  const driver = url.startsWith('ws') ? webSocketClient() : fetchClient();
  const session = new Session(await driver.connect(url), { name: 'page' });
  const retriever = new Retriever(session, { codecs: referenceCodecs });
  await session.start();
  const { model } = await retriever.model('global', { folder: memoryFolder(), name: 'global' });
  return model.manifest.tensors.reduce((sum, { shape }) => sum + shape.reduce((count, side) => count * side, 1), 0);
}
