/** Where views come from: the server, or in an exported page what was put into the file. */

/** What a view cannot show, in words that are fit for a person. */
export class Problem extends Error {
  constructor(text, later) {
    super(text);
    /** It is still being read. */
    this.later = later;
  }
}

function queryOf(options) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(options)) {
    if (value !== undefined && value !== null && value !== "") query.set(key, String(value));
  }
  return query;
}

export class Server {
  /** @param {string} name @param {Record<string, any>} options */
  async view(name, options = {}) {
    return this.ask(`/view/${encodeURIComponent(name)}?${queryOf(options)}`);
  }

  /** What there is to learn. @param {string} name @param {Record<string, any>} options */
  async learn(name, options = {}) {
    return this.ask(`/learn/${encodeURIComponent(name)}?${queryOf(options)}`);
  }

  /** Have something done. @param {string} name @param {Record<string, any>} order */
  async order(name, order = {}) {
    return this.ask(`/learn/${encodeURIComponent(name)}`, { method: "POST", body: JSON.stringify(order), headers: { "content-type": "application/json" } });
  }

  async ask(address, how = { headers: { accept: "application/json" } }) {
    let answer;
    try {
      answer = await fetch(address, how);
    } catch {
      throw new Problem("The server has ended; this is the last that it sent.", false);
    }
    const type = answer.headers.get("content-type") ?? "";
    if (!type.includes("json")) throw new Problem(`The server refused (${answer.status}); open a new address.`, false);
    const found = await answer.json();
    // What is still being read is no error, of which the browser would speak.
    if (!answer.ok || answer.status === 202) throw new Problem(found.problem, answer.status === 202);
    return found;
  }

  /** Tells each new status, and `null` when the stream is lost. @param {(status: any) => void} listener */
  listen(listener) {
    const stream = new EventSource("/events");
    stream.addEventListener("status", (event) => listener(JSON.parse(event.data)));
    stream.addEventListener("error", () => listener(null));
    addEventListener("pagehide", () => stream.close());
  }
}
