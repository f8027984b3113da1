// Tracks in memory: search, length and order. Knows nothing of the page.

const collator = new Intl.Collator(undefined, { numeric: true });

/** Fold case and accents, so that "cafe" finds "Café". */
export function fold(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

/** Return seconds as m:ss, such as "3:07"; an empty text for null. */
export function minutes(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return "";
  const whole = Math.floor(Math.abs(seconds));
  return `${seconds < 0 ? "-" : ""}${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Return an http(s) address, or null: no other kind is ever followed or played. */
export function webAddress(text) {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

const ORDERS = {
  title: (one, other) => collator.compare(one.title, other.title),
  // Ids are texts, since they have up to 64 bits and numbers of JavaScript have 53.
  id: (one, other) => one.number - other.number || collator.compare(one.id, other.id),
  length: (one, other) => (one.seconds ?? Infinity) - (other.seconds ?? Infinity) || 0,
};

export class Catalogue {
  tracks = [];
  #sorted = new Map();

  /** Add rows of [id, title, address, seconds], as the server sends them. */
  add(rows) {
    for (const [id, name, music, seconds] of rows) {
      const title = name?.trim() || "Untitled";
      this.tracks.push({ id, title, seconds, url: webAddress(music), number: Number(id), folded: fold(title) });
    }
    this.#sorted.clear();
  }

  clear() {
    this.tracks = [];
    this.#sorted.clear();
  }

  /**
   * Return the tracks that match, in order. The array does not change when more tracks are added.
   * @param search words that the title must contain, or an id
   * @param length range in seconds such as "60-119" or "180-"; empty for all
   * @param sort "title", "id" or "length"; null for the catalogue's own order
   */
  select({ search = "", length = "", sort = null, descending = false } = {}) {
    const tracks = this.#ordered(sort, descending);
    const words = fold(search).split(/\s+/).filter(Boolean);
    if (!words.length && !length) return tracks.slice();
    const id = search.trim();
    const [low, high] = length ? length.split("-") : ["", ""];
    const most = high ? Number(high) : Infinity;
    return tracks.filter((track) => {
      if (length && !(track.seconds != null && track.seconds >= Number(low) && track.seconds <= most)) return false;
      return track.id === id || words.every((word) => track.folded.includes(word));
    });
  }

  #ordered(sort, descending) {
    if (!sort) return this.tracks;
    const key = `${sort} ${descending}`;
    if (!this.#sorted.has(key)) {
      const order = ORDERS[sort];
      this.#sorted.set(key, this.tracks.toSorted(descending ? (one, other) => order(other, one) : order));
    }
    return this.#sorted.get(key);
  }
}
