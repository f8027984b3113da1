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
      try {
        const where = { ...this.#query, feed: this.#feed, after: this.#batches };
        const response = await fetch(address("tracks", where), { signal, cache: "no-store" });
        if (response.status === 403) return this.#on.lost(true);
        if (!response.ok) throw new Error(`HTTP ${response.status}`);
        this.#on.found();
        wait = FIRST_WAIT;
        for await (const message of messages(response.body)) this.#take(message);
      } catch (error) {
        if (signal.aborted) return;
        if (wait > FIRST_WAIT || error instanceof TypeError) this.#on.lost(false);
        wait = Math.min(wait * 2, LONGEST_WAIT);
      }
      await new Promise((resume) => setTimeout(resume, wait));
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
