/**
 * Errors that a person or a program is told about. A refusal (an expected answer) is data in a reply and lives with its message;
 * a defect is any other exception. Every code here and in replies is listed in docs/errors.md; a test compares the lists.
 */

export interface BoundaryDetails {
  /** What was passed, as short text. */
  readonly value?: string;
  /** What is allowed. */
  readonly allowed?: string;
  /** What to do about it, as a sentence. */
  readonly hint?: string;
}

/** Something from outside was wrong: says what, which value, what is allowed, what to do. */
export class BoundaryError extends Error {
  override readonly name = "BoundaryError";
  readonly code: string;
  readonly details: BoundaryDetails;

  constructor(code: string, message: string, details: BoundaryDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}
