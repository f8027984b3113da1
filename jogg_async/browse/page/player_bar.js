// The player at the foot of the page, and the keys and screens of the system that control it.

import { minutes } from "./catalogue.js";
import { setText } from "./notices.js";

const get = (id) => document.getElementById(id);
const position = get("position");
const volume = get("volume");
const STEPS = 1000;

/**
 * Connect the controls to a player.
 * @param player the Player
 * @param actions functions: previous(), next(), play(), copy()
 */
export function connect(player, actions) {
  get("play").addEventListener("click", actions.play);
  get("previous").addEventListener("click", actions.previous);
  get("next").addEventListener("click", actions.next);
  get("now-copy").addEventListener("click", actions.copy);
  get("mute").addEventListener("click", () => player.toggleMute());
  position.addEventListener("input", () => player.seek((position.value / STEPS) * player.duration));
  volume.addEventListener("input", () => (player.volume = volume.value / 100));
  player.addEventListener("time", () => showTime(player));
  player.addEventListener("change", () => show(player));
  for (const [name, action] of [["play", actions.play], ["pause", actions.play], ["previoustrack", actions.previous], ["nexttrack", actions.next]])
    navigator.mediaSession?.setActionHandler(name, action);
  show(player);
}

/** Show the colours of a track's tile, which follow from its id. */
export function colour(tile, track) {
  tile.style.setProperty("--hue", (track.number * 47) % 360);
}

function show(player) {
  const { track, playing } = player;
  const button = get("play");
  button.setAttribute("aria-label", playing ? "Pause" : "Play");
  icon(button, playing ? "pause" : "play");
  icon(get("mute"), player.muted ? "muted" : "volume");
  get("mute").setAttribute("aria-pressed", player.muted);
  fill(volume, player.muted ? 0 : player.volume * 100, 100);
  volume.setAttribute("aria-valuetext", `${Math.round(volume.value)} percent`);
  if (track) showTrack(player);
  showTime(player);
}

function showTrack(player) {
  const { track, failure } = player;
  setText(get("now-title"), track.title);
  get("now-title").title = track.title;
  setText(get("now-detail"), failure ? failure : player.loading ? "Loading" : `ID ${track.id}`);
  get("now-detail").title = failure;
  get("now-detail").classList.toggle("danger", Boolean(failure));
  colour(get("now-tile"), track);
  get("now-copy").hidden = false;
  position.disabled = Boolean(failure);
  document.title = player.playing ? `${track.title} · JoggAI music` : "JoggAI music";
  if (navigator.mediaSession && window.MediaMetadata) {
    navigator.mediaSession.metadata = new MediaMetadata({ title: track.title, artist: "JoggAI" });
    navigator.mediaSession.playbackState = player.playing ? "playing" : "paused";
  }
}

function showTime(player) {
  const { duration, position: now } = player;
  fill(position, duration ? (now / duration) * STEPS : 0, STEPS);
  setText(get("elapsed"), minutes(now));
  setText(get("remaining"), minutes(duration));
  position.setAttribute("aria-valuetext", `${minutes(now)} of ${minutes(duration)}`);
}

function fill(slider, value, most) {
  slider.value = value;
  slider.style.setProperty("--fill", `${(value / most) * 100}%`);
}

function icon(button, name) {
  button.querySelector("use").setAttribute("href", `#i-${name}`);
}
