// What both sides of the grpc drivers are told and tell the library.

import type { HostAddress } from '../../driver/address.js';
import { DEFAULT_MAX_FRAME_BYTES, type DriverOptions } from '../../driver/driver.js';
import { FIELD_BYTES } from './grpc-frames.js';
import type { TlsMaterial } from './tls.js';

export type GrpcScheme = 'grpc' | 'grpcs';
export type GrpcPackage = typeof import('@grpc/grpc-js');

/**
 * HTTP/2 begins with windows of 64 KiB, which make 0.4 GB/s of 1.5 on loopback, and 0.3 MB/s of 200 ms. They are raised again when half is used, so that half
 * must hold 1 Gbit/s times 200 ms. Who may send how much is for the windows of streams to say (src/stream/receive-window.ts).
 */
export const HTTP2_WINDOW_BYTES = 48 * 1024 * 1024;

export interface GrpcOptions extends DriverOptions {
  readonly address: HostAddress;
  readonly scheme: GrpcScheme;
  readonly material: TlsMaterial | undefined;
}

/** The library ends a call above its limit without saying why: its limit is above ours, and ours says why. */
export function messageLimits(maxFrameBytes = DEFAULT_MAX_FRAME_BYTES) {
  return {
    'grpc.max_receive_message_length': 2 * maxFrameBytes + FIELD_BYTES,
    'grpc.max_send_message_length': maxFrameBytes + FIELD_BYTES,
  };
}
