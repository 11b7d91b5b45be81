// The contract of a handler: what a site does with one kind of task.
import type { Task } from '../exchange/task.js';
import type { StepReports } from './step-reports.js';
import type { Workplace } from './workplace.js';

/** Does a task and sends its answer; an error is reported to the server. */
export type TaskHandler = (task: Task, place: Workplace, reports: StepReports) => Promise<void>;

/** Handlers by kind. */
export type TaskHandlers = Readonly<Record<string, TaskHandler>>;
