// Which file holds the bytes of a state dict, so that somebody else may be given the file itself.
import type { Folder } from '../core/storage.js';
import type { StateDict } from './state-dict.js';

/** A safetensors file of FedStream's own that holds the tensors of a state dict, and no others. */
export interface StoredFile {
  readonly folder: Folder;
  readonly name: string;
}

/**
 * Files by state dict, not a field of it: a copy with other tensors would carry the field along, and
 * somebody would be given the wrong file.
 */
const files = new WeakMap<StateDict, StoredFile>();

/** Remembers the file of a state dict; returns the state dict. */
export function withFile(model: StateDict, file: StoredFile | undefined): StateDict {
  if (file) files.set(model, file);
  return model;
}

/** The file that holds this very state dict; undefined where there is none, or none to be given away. */
export function fileOf(model: StateDict): StoredFile | undefined {
  return files.get(model);
}
