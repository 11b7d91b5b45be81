// The algorithms that come with FedStream, by name: a workflow, an aggregator and further fields of
// a job that make one up.
import type { AlgorithmTable } from '../job/algorithms.js';

/** The built-in algorithms, in the order of their names. */
export const ALGORITHMS: AlgorithmTable = [
  { name: 'cyclic', summary: 'the model travels from site to site (Chang 2018)', job: { workflow: 'cyclic' } },
  {
    name: 'diloco',
    summary: 'Nesterov momentum at the server, AdamW kept at the sites (Douillard 2023)',
    job: { aggregator: { type: 'nesterov', rate: 0.7, momentum: 0.9 }, train: { optimizerState: 'keep' } },
  },
  { name: 'ditto', summary: 'a personal model at each site, near the global one (Li 2021)', job: { workflow: 'ditto' } },
  { name: 'fedAdagrad', summary: 'Adagrad at the server (Reddi 2021)', job: { aggregator: 'adagrad' } },
  { name: 'fedAdam', summary: 'Adam at the server (Reddi 2021)', job: { aggregator: 'adam' } },
  { name: 'fedAvg', summary: 'the mean of what all sites trained (McMahan 2017)', job: { workflow: 'fedAvg', aggregator: 'mean' } },
  { name: 'fedAvgM', summary: 'FedAvg with momentum at the server (Hsu 2019)', job: { aggregator: 'momentum' } },
  { name: 'fedBuff', summary: 'asynchronous: a new model whenever some updates are there (Nguyen 2022)', job: { workflow: 'fedBuff' } },
  { name: 'federatedEvaluation', summary: 'no training: every site evaluates the model', job: { workflow: 'federatedEvaluation' } },
  {
    name: 'fedExLora',
    summary: 'LoRA: products are averaged exactly, with a stack beside the base (Singhal 2024)',
    job: { lora: 'exact' },
  },
  { name: 'fedNova', summary: 'updates weighted by the steps they are of (Wang 2020)', job: { workflow: 'fedNova' } },
  { name: 'fedProx', summary: 'a proximal term against uneven data (Li 2020)', job: { workflow: 'fedProx' } },
  { name: 'fedYogi', summary: 'Yogi at the server (Reddi 2021)', job: { aggregator: 'yogi' } },
  { name: 'ffaLora', summary: 'LoRA: A is frozen, B alone is trained and sent (Sun 2024)', job: { lora: 'ffa' } },
  { name: 'flexLora', summary: 'LoRA: the best adapter for the mean of the products (Bai 2024)', job: { lora: 'svd' } },
  {
    name: 'mild',
    summary: 'a shorter Nesterov step at the server, for few rounds',
    job: { aggregator: { type: 'nesterov', rate: 0.8, momentum: 0.5 } },
  },
  { name: 'qFedAvg', summary: 'sites with a larger loss count for more (Li 2020)', job: { workflow: 'qFedAvg' } },
  { name: 'scaffold', summary: 'control variates against uneven data (Karimireddy 2020)', job: { workflow: 'scaffold' } },
  { name: 'statistics', summary: "no training: counts of the sites' data", job: { workflow: 'statistics' } },
  {
    name: 'streamingDiLoCo',
    summary: 'parts of the model travel while the sites train on (Douillard 2025)',
    job: {
      workflow: { type: 'streaming', parts: 4, overlap: 5, alpha: 0 },
      aggregator: { type: 'nesterov', rate: 0.7, momentum: 0.9 },
      train: { optimizerState: 'keep' },
    },
  },
  { name: 'swarm', summary: 'a site is the aggregator, the server sees no model (Warnat-Herresthal 2021)', job: { workflow: 'swarm' } },
];
