// Plays one track at a time. Audio comes directly from its host, or through the local server if the host refuses.

import { address } from "./address.js";

const KEPT_VOLUME = "jogg-volume";

export class Player extends EventTarget {
  track = null;
  failure = "";
  #audio;
  #proxied = false;
  #animated = false;

  /** @param audio the audio element; events: "change", "time", and "failed" for the present track */
  constructor(audio) {
    super();
    this.#audio = audio;
    audio.volume = keptVolume();
    for (const name of ["play", "playing", "pause", "ended", "waiting", "loadedmetadata", "volumechange"])
      audio.addEventListener(name, () => this.#tell("change"));
    for (const name of ["timeupdate", "seeked"]) audio.addEventListener(name, () => this.#tell("time"));
    audio.addEventListener("playing", () => {
      if (!this.#animated) this.#animate();
    });
    audio.addEventListener("error", () => this.#recover(this.track));
  }

  get playing() {
    return Boolean(this.track) && !this.failure && !this.#audio.paused && !this.#audio.ended;
  }

  /** True while audio is on its way. */
  get loading() {
    return this.playing && this.#audio.readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
  }

  get position() {
    return this.#audio.currentTime || 0;
  }

  /** Seconds of the audio file; before they are known, those that the catalogue names. */
  get duration() {
    return Number.isFinite(this.#audio.duration) ? this.#audio.duration : (this.track?.seconds ?? 0);
  }

  get volume() {
    return this.#audio.volume;
  }

  set volume(value) {
    this.#audio.volume = Math.min(Math.max(value, 0), 1);
    this.#audio.muted = false;
    keepVolume(this.#audio.volume);
  }

  get muted() {
    return this.#audio.muted || this.#audio.volume === 0;
  }

  toggleMute() {
    this.#audio.muted = !this.#audio.muted;
  }

  /** Play a track from its beginning. */
  play(track) {
    this.track = track;
    this.failure = "";
    this.#proxied = false;
    this.#start(track.url);
  }

  /** Pause, or play on; after a failure, try again. */
  toggle() {
    if (!this.track) return;
    if (this.failure) this.play(this.track);
    else if (this.#audio.paused || this.#audio.ended) this.#resume();
    else this.#audio.pause();
  }

  /** Go to a place, in seconds. */
  seek(seconds) {
    if (this.track && !this.failure) this.#audio.currentTime = Math.min(Math.max(seconds, 0), this.duration);
  }

  #start(url) {
    this.#audio.src = url;
    this.#resume();
    this.#tell("change");
  }

  #resume() {
    this.#audio.play().catch(() => {}); // a failure is told by the event "error"
  }

  async #recover(track) {
    if (!track || this.failure) return;
    const failure = this.#proxied ? "The audio file is damaged or of an unknown kind." : await refusal(track);
    if (track !== this.track) return;
    if (!failure) {
      this.#proxied = true;
      this.#start(address(`audio/${track.id}`));
      return;
    }
    this.failure = failure;
    this.#tell("failed");
    this.#tell("change");
  }

  #animate() {
    this.#animated = this.playing;
    if (!this.#animated) return;
    this.#tell("time");
    requestAnimationFrame(() => this.#animate());
  }

  #tell(name) {
    this.dispatchEvent(new Event(name));
  }
}

/** Return why the local server cannot get a track's audio either; an empty text if it can. */
async function refusal(track) {
  try {
    const response = await fetch(address(`audio/${track.id}`), { headers: { Range: "bytes=0-0" } });
    return response.ok ? "" : await response.text();
  } catch {
    return "The audio file could not be loaded.";
  }
}

function keptVolume() {
  try {
    const kept = Number.parseFloat(localStorage.getItem(KEPT_VOLUME));
    return kept >= 0 && kept <= 1 ? kept : 0.8;
  } catch {
    return 0.8;
  }
}

function keepVolume(value) {
  try {
    localStorage.setItem(KEPT_VOLUME, value);
  } catch {
    // private browsing: the volume is not kept
  }
}
