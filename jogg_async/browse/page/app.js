// The page to choose music by ear: connects the feed, the list, the player and the filters.

import { address } from "./address.js";
import { Catalogue, minutes } from "./catalogue.js";
import { Feed } from "./feed.js";
import { listen } from "./keys.js";
import { VirtualList } from "./list.js";
import { announce, setText, showToast } from "./notices.js";
import { Player } from "./player.js";
import { colour, connect } from "./player_bar.js";
import { present } from "./state.js";

const get = (id) => document.getElementById(id);
const [grid, search, genre, mood, length, help] = ["grid", "search", "genre", "mood", "length", "help"].map(get);
const REFRESH = 200; // milliseconds between two refreshes while tracks arrive
const QUIET = 700; // milliseconds without typing before the number of matches is announced

const catalogue = new Catalogue();
const player = new Player(get("audio"));
const list = new VirtualList(grid, get("rows"), get("row-template"), fillRow);
const failed = new Set();
let status = { state: "loading", total: null };
let order = { sort: null, descending: false };
let lost = ""; // "lost" while the server cannot be reached, "expired" once it is another run's
let refreshing = 0;
let announcing = 0;

// List

function fillRow(row, track) {
  const [tile, title, failure, copy, open] = [".tile", ".title", ".failed", ".copy", ".open"].map((name) => row.querySelector(name));
  const current = player.track?.id === track.id;
  row.classList.toggle("current", current);
  row.classList.toggle("playing", current && player.playing);
  row.classList.toggle("silent", !track.url);
  title.textContent = title.title = track.title;
  row.querySelector(".id").textContent = track.id;
  row.querySelector(".length").textContent = minutes(track.seconds);
  failure.hidden = !failed.has(track.id);
  colour(tile, track);
  tile.disabled = !track.url;
  tile.setAttribute("aria-label", `${current && player.playing ? "Pause" : "Play"} ${track.title}`);
  copy.setAttribute("aria-label", `Copy the id of ${track.title}`);
  open.setAttribute("aria-label", `Open the audio file of ${track.title}`);
  if (track.url) open.href = track.url;
  else open.removeAttribute("href");
}

function refresh() {
  clearTimeout(refreshing);
  refreshing = 0;
  list.show(catalogue.select({ search: search.value, length: length.value, ...order }));
  showState();
}

function refreshSoon() {
  if (!list.items.length) refresh();
  else refreshing ||= setTimeout(refresh, REFRESH);
}

function onFilter() {
  refresh();
  list.toTop();
  clearTimeout(announcing);
  announcing = setTimeout(() => announce(get("count").textContent), QUIET);
}

function sortBy(key) {
  const ascendingNow = order.sort === key && !order.descending;
  order = order.sort === key && order.descending ? { sort: null, descending: false } : { sort: key, descending: ascendingNow };
  for (const header of grid.querySelectorAll("[data-sort]")) {
    if (header.dataset.sort !== order.sort) header.removeAttribute("aria-sort");
    else header.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
  }
  onFilter();
}

// State

function showState() {
  present({ status, lost, held: catalogue.tracks.length, shown: list.items.length, filters: filterTexts(), retry: () => feed.retry() });
  get("previous").disabled = get("next").disabled = !list.items.length;
  get("play").disabled = !player.track && !list.items.length;
}

function filterTexts() {
  return [
    search.value.trim() && `title with “${search.value.trim()}”`,
    genre.value.trim() && `genre ${genre.value.trim()}`,
    mood.value.trim() && `mood ${mood.value.trim()}`,
    length.value && length.selectedOptions[0].text.toLowerCase(),
  ].filter(Boolean);
}

const feed = new Feed({
  reset() {
    catalogue.clear();
    failed.clear();
    status = { state: "loading", total: null };
    refresh();
    list.toTop();
  },
  tracks(rows) {
    catalogue.add(rows);
    refreshSoon();
  },
  status(now) {
    const finished = status.state !== "complete" && now.state === "complete";
    status = now;
    if (finished) {
      refresh();
      announce(get("count").textContent);
    } else showState();
  },
  lost(expired) {
    lost = expired ? "expired" : "lost";
    showState();
  },
  found() {
    lost = "";
    showState();
  },
});

// Filters

let asked = "";

function openFeed() {
  const query = { genre: genre.value.trim(), mood: mood.value.trim() };
  if (asked === JSON.stringify(query)) return;
  asked = JSON.stringify(query);
  feed.open(query);
}

function clearFilters() {
  for (const field of [search, genre, mood, length]) field.value = "";
  openFeed();
  onFilter();
  search.focus();
}

function offer(field, values, given, anyText) {
  get(`${field.id}-field`).hidden = !values.length && !anyText;
  field.value = given ?? "";
  get(`${field.id}s`).append(...values.map((value) => new Option(value, value)));
  field.addEventListener("change", openFeed);
  // A value taken from the list, or emptied, needs no further key.
  field.addEventListener("input", () => {
    if (!field.value || values.includes(field.value)) openFeed();
  });
}

search.addEventListener("input", onFilter);
length.addEventListener("change", onFilter);
get("filters").addEventListener("submit", (event) => event.preventDefault());
get("clear").addEventListener("click", clearFilters);
get("empty-clear").addEventListener("click", clearFilters);
get("help-button").addEventListener("click", () => help.showModal());
for (const header of grid.querySelectorAll("[data-sort]"))
  header.querySelector("button").addEventListener("click", () => sortBy(header.dataset.sort));

// Playing and copying

function play(track) {
  if (!track?.url) return track && showToast("This track has no audio file");
  if (track.id === player.track?.id) player.toggle();
  else player.play(track);
}

function playNeighbour(step) {
  const here = list.items.findIndex((track) => track.id === player.track?.id);
  let index = (here < 0 ? list.active : here) + step;
  while (list.items[index] && !list.items[index].url) index += step;
  if (!list.items[index]) return;
  list.activate(index);
  player.play(list.items[index]);
}

async function copy(track) {
  if (!track) return;
  try {
    await navigator.clipboard.writeText(track.id);
    showToast(`Copied id ${track.id}`);
  } catch {
    showToast(`The browser does not let pages copy. The id is ${track.id}`);
  }
}

function openAudio(track) {
  if (track?.url) window.open(track.url, "_blank", "noopener,noreferrer");
}

player.addEventListener("failed", () => {
  failed.add(player.track.id);
  announce(`${player.track.title} cannot be played. ${player.failure}`);
});
player.addEventListener("change", () => {
  if (player.playing && !player.loading) failed.delete(player.track.id);
  list.refresh();
});

const actions = {
  move: (by) => list.activate(list.active + by),
  page: (by) => list.activate(list.active + by * list.pageSize),
  first: () => list.activate(0),
  last: () => list.activate(list.items.length - 1),
  play: () => play(list.activeItem),
  next: () => playNeighbour(1),
  previous: () => playNeighbour(-1),
  skip: (seconds) => player.seek(player.position + seconds),
  copy: () => copy(list.activeItem),
  open: () => openAudio(list.activeItem),
  mute: () => player.toggleMute(),
  clearSearch() {
    search.value = "";
    onFilter();
  },
};

listen({ grid, search, help, actions });
connect(player, {
  ...actions,
  play: () => (player.track ? player.toggle() : actions.play()),
  copy: () => copy(player.track),
});

get("rows").addEventListener("mousedown", (event) => {
  // The focus stays in the list, where every key works: a row's buttons are for the mouse.
  if (event.target.closest("button")) event.preventDefault();
});
get("rows").addEventListener("click", (event) => {
  const index = list.indexOf(event.target);
  if (index < 0) return;
  list.activate(index);
  if (event.target.closest(".tile")) play(list.activeItem);
  if (event.target.closest(".copy")) copy(list.activeItem);
});
get("rows").addEventListener("dblclick", (event) => {
  if (!event.target.closest("button, a")) play(list.activeItem);
});

// Start

try {
  const response = await fetch(address("settings"));
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const settings = await response.json();
  setText(get("name"), settings.name);
  offer(genre, settings.genres, settings.genre, settings.anyText);
  offer(mood, settings.moods, settings.mood, settings.anyText);
  openFeed();
} catch {
  lost = "lost";
  showState();
}
