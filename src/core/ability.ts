// The names of what a trainer knows beyond plain training, as tasks ask for them.

/** A name: that of a figure or an extra of a task (`mu`, `control`), or of something else (`personal`). */
export const ABILITY = /^[A-Za-z][A-Za-z0-9_-]{0,31}$/;

/** The most names that a trainer tells, or that a task asks for. */
export const MOST_ABILITIES = 64;
