// The public entry `fedstream`: what a job file and a program that embeds FedStream need.
export { type ErrorCode, FedStreamError } from '../core/errors.js';
export { defineJob, type Job, type JobInput, parseJob } from './job.js';
