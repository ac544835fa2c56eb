/** Where views come from: the server, or in an exported page what was put into the file. */

/** What a view cannot show, in words that are fit for a person. */
export class Problem extends Error {
  constructor(text, later) {
    super(text);
    /** It is still being read. */
    this.later = later;
  }
}

export class Server {
  /** @param {string} name @param {Record<string, any>} options */
  async view(name, options = {}) {
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries(options)) {
      if (value !== undefined && value !== null && value !== "") query.set(key, String(value));
    }
    let answer;
    try {
      answer = await fetch(`/view/${encodeURIComponent(name)}?${query}`, { headers: { accept: "application/json" } });
    } catch {
      throw new Problem("The server has ended; what is shown is what it said last.", false);
    }
    const type = answer.headers.get("content-type") ?? "";
    if (!type.includes("json")) throw new Problem(`The server refused (${answer.status}); open a new address.`, false);
    const found = await answer.json();
    if (!answer.ok) throw new Problem(found.problem, answer.status === 503);
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
