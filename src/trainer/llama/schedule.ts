// The learning rate of a step: linear warm-up, then constant or cosine to zero.

/** Settings of the schedule. */
export interface ScheduleSettings {
  readonly learningRate: number;
  readonly schedule: 'constant' | 'cosine';
  readonly warmupSteps: number;
}

/**
 * The learning rate of `step`, from 1 to `totalSteps`. Steps count over the whole run, so that
 * rounds do not restart the schedule.
 */
export function learningRateAt(step: number, totalSteps: number, { learningRate, schedule, warmupSteps }: ScheduleSettings): number {
  if (step <= warmupSteps) return (learningRate * step) / warmupSteps;
  if (schedule === 'constant') return learningRate;
  const progress = (step - warmupSteps) / Math.max(totalSteps - warmupSteps, 1);
  return learningRate * 0.5 * (1 + Math.cos(Math.PI * Math.min(progress, 1)));
}
