// @ts-check

/** A refusal: an RFC 9457 problem document, or a failure to reach the server (status 0). */
export class Problem extends Error {
  /** @param {number} status @param {{type?: string, title?: string, detail?: string}} [document] */
  constructor(status, document = {}) {
    super(document.detail || document.title || `status ${status}`);
    this.name = 'Problem';
    this.status = status;
    this.type = document.type ?? 'about:blank';
    this.detail = document.detail ?? '';
  }

  /** Reads the problem from an answer. @param {Response} response */
  static async of(response) {
    const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json');
    return new Problem(response.status, isProblem ? await response.json().catch(() => ({})) : {});
  }
}
