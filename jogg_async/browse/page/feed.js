// The stream of tracks and states from the local server, which is asked again whenever it breaks.

import { address } from "./address.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 4000;

export class Feed {
  #on;
  #stop = new AbortController();
  #query = {};
  #feed = "";
  #batches = 0;

  /**
   * @param on functions: reset() when tracks begin anew, tracks(rows), status(status),
   *   lost(expired) when the server cannot be reached, found() when it can again
   */
  constructor(on) {
    this.#on = on;
  }

  /** Follow the tracks of a query, instead of those before. */
  open(query) {
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#query = query;
    this.#feed = "";
    this.#batches = 0;
    this.#on.reset();
    this.#follow(this.#stop.signal);
  }

  /** Try again after a failure, or load the tracks anew once all of them are there. */
  async retry() {
    await fetch(address("retry", this.#query), { method: "POST" }).catch(() => {});
  }

  async #follow(signal) {
    let wait = FIRST_WAIT;
    while (!signal.aborted) {
      const stream = await this.#connect(signal);
      if (signal.aborted || stream === "expired") return;
      wait = stream ? FIRST_WAIT : Math.min(wait * 2, LONGEST_WAIT);
      // A stream that breaks is no news: only a server that cannot be reached again is lost.
      if (stream) await this.#read(stream, signal).catch(() => {});
      if (!signal.aborted) await new Promise((resume) => setTimeout(resume, wait));
    }
  }

  async #connect(signal) {
    try {
      const where = { ...this.#query, feed: this.#feed, after: this.#batches };
      const response = await fetch(address("tracks", where), { signal });
      if (response.ok) {
        this.#on.found();
        return response.body;
      }
      this.#on.lost(response.status === 403);
      return response.status === 403 ? "expired" : null;
    } catch {
      if (!signal.aborted) this.#on.lost(false);
      return null;
    }
  }

  async #read(stream, signal) {
    for await (const message of messages(stream)) {
      if (signal.aborted) return; // the rest of a chunk belongs to a query that was left
      this.#take(message);
    }
  }

  #take(message) {
    if (message.tracks) {
      this.#batches += 1;
      this.#on.tracks(message.tracks);
    } else if (message.feed) {
      if (this.#feed && this.#feed !== message.feed) this.#on.reset();
      if (this.#feed !== message.feed) this.#batches = 0;
      this.#feed = message.feed;
    } else {
      this.#on.status(message);
    }
  }
}

/** Yield the messages of a stream of JSON lines. */
async function* messages(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}
