// What is refused, and by which rule. `reason` is the refusal's name as the golden vectors write it.

/** Bytes or text that are not a value of their format. */
export class Malformed extends Error {
  /** @param {string} reason */
  constructor(reason, message = `malformed: ${reason}`) {
    super(message);
    this.name = 'Malformed';
    this.reason = reason;
  }
}

/** A receipt, step or key that did not pass a check. */
export class Refused extends Error {
  /**
   * @param {string} check one of CHECKS
   * @param {string} reason
   * @param {string} message
   */
  constructor(check, reason, message) {
    super(`${check}: ${message}`);
    this.name = 'Refused';
    this.check = check;
    this.reason = reason;
  }
}

/** Runs `decode`; what is malformed in it becomes malformed as `wrap` says. */
export function wrapping(wrap, decode) {
  try {
    return decode();
  } catch (error) {
    if (error instanceof Malformed) throw new Malformed(wrap(error.reason));
    throw error;
  }
}
