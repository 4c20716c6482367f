// @ts-check

/** A refusal: an RFC 9457 problem document, or a failure to reach the server (status 0). */
export class Problem extends Error {
  /** @param {number} status @param {{type?: string, title?: string, detail?: string, retryAfter?: number}} [document] */
  constructor(status, document = {}) {
    super(document.detail || document.title || `status ${status}`);
    this.name = 'Problem';
    this.status = status;
    this.type = document.type ?? 'about:blank';
    this.detail = document.detail ?? '';
    /** seconds until slow mode lets the next message through */
    this.retryAfter = document.retryAfter;
  }

  /** Reads the problem from an answer. @param {Response} response */
  static async of(response) {
    const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json');
    return new Problem(response.status, isProblem ? await response.json().catch(() => ({})) : {});
  }
}
