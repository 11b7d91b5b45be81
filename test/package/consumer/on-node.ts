// A program on Node that uses every entry of the package: it must compile against what is packed.
import { defineJob, FedStreamError, type Folder, type JobInput, memoryFolder, Offers, parseJob, Retriever, Session } from 'fedstream';
import { chooseDriver, type Driver, memory, striped, tcp, ws } from 'fedstream/drivers';
import { nodeCodecs, nodeFolder } from 'fedstream/node';
import { type RegisterTest, testDriver, testFolder } from 'fedstream/testing';
import { init, type Tensor } from 'fedstream/trainer';

export const job: JobInput = defineJob({ rounds: 2, quantize: 'lean' });

export const driver: Driver = chooseDriver([tcp(), ws(), memory(), striped(tcp(), 4)]);

/** Asks a server for the model that it offers. */
export async function fetchModel(url: string, folder: Folder): Promise<readonly string[]> {
  const session = new Session(await driver.connect(url), { name: 'site-a' });
  const retriever = new Retriever(session, { codecs: nodeCodecs() });
  await session.start();
  const { model } = await retriever.model('global', { folder, name: 'global.spool' });
  return model.manifest.tensors.map(({ name }) => name);
}

export function offer(folder: string): Offers {
  return new Offers({ codecs: nodeCodecs(), files: nodeFolder(folder), spools: memoryFolder() });
}

export function codeOf(value: unknown): string | undefined {
  try {
    parseJob(value, 'job.json');
    return undefined;
  } catch (error) {
    return error instanceof FedStreamError ? error.code : 'internal';
  }
}

/** A training program in a few lines. */
export async function train(change: (tensors: readonly Tensor[]) => void): Promise<void> {
  const site = await init();
  while (await site.isRunning()) {
    const { tensors } = await site.receive();
    change(tensors);
    await site.send(tensors, { samples: 1, steps: 1, trainLoss: 0 });
  }
}

export function suites(register: RegisterTest): void {
  testDriver('memory', { make: memory, listenUrl: 'memory://suite', deadUrl: 'memory://nobody' }, register);
  testFolder('memory', memoryFolder, register);
}
