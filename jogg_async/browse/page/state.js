// Shows the state of the list: how much is loaded, why nothing is shown, what went wrong.

import { notice, setText } from "./notices.js";

const get = (id) => document.getElementById(id);
const format = new Intl.NumberFormat("en").format;

/**
 * Show a state.
 * @param state status (as the server sends it), lost ("", "lost" or "expired"), held and shown (numbers of tracks),
 *   filters (texts), retry (function)
 */
export function present(state) {
  setText(get("count"), countText(state));
  get("clear").disabled = !state.filters.length;
  showProgress(state);
  showEmpty(state);
  showNotices(state);
}

const isLoading = ({ status }) => ["loading", "paused"].includes(status.state);

function countText(state) {
  const { status, held, shown } = state;
  const total = status.total == null ? "" : ` of ${format(Math.max(status.total, held))}`;
  const matches = shown === held ? "" : `${format(shown)} found · `;
  if (isLoading(state)) return `${matches}Loading ${format(held)}${total} tracks`;
  if (status.state === "failed" && held) return `${matches}Stopped after ${format(held)}${total} tracks`;
  const noun = held === 1 ? "track" : "tracks";
  return shown === held ? `${format(held)} ${noun}` : `${format(shown)} of ${format(held)} ${noun}`;
}

function showProgress(state) {
  const share = state.status.total ? Math.min(1, state.held / state.status.total) : 0;
  get("progress").hidden = !isLoading(state);
  get("progress").setAttribute("aria-valuenow", Math.round(share * 100));
  get("progress").firstElementChild.style.transform = `scaleX(${share})`;
}

function showEmpty(state) {
  get("empty").hidden = state.shown > 0;
  get("empty").classList.toggle("waiting", isLoading(state));
  if (state.shown) return;
  const { filters } = state;
  const first = isLoading(state) ? "The first ones arrive in a moment." : "";
  setText(get("empty-title"), emptyTitle(state));
  setText(get("empty-text"), filters.length ? `Filters: ${filters.join(", ")}` : first);
  get("empty-clear").hidden = !filters.length;
}

function emptyTitle(state) {
  if (isLoading(state)) return state.held ? "No match so far" : "Loading tracks";
  if (state.status.state === "failed" && !state.held) return "No tracks loaded";
  return state.filters.length ? "No tracks match" : "The catalogue is empty";
}

const USABLE = "Tracks that are already here can be searched and played.";

function showNotices(state) {
  const { status, lost, retry } = state;
  const now = lost ? "" : status.state;
  notice("lost", lost === "lost" ? "Connection to jogg-async lost. Is it still running?" : "", {
    advice: `${USABLE} Connecting again…`,
    danger: true,
  });
  notice("expired", lost === "expired" ? "This page belongs to an earlier run of jogg-async browse." : "", {
    advice: "Open the address that the last run printed.",
    danger: true,
  });
  notice("failed", now === "failed" ? "The tracks could not be loaded." : "", {
    advice: status.advice,
    detail: status.reason,
    danger: true,
    button: "Try again",
    action: retry,
  });
  notice("paused", now === "paused" ? `Rate limit reached: loading continues in ${status.seconds} s.` : "", { advice: USABLE });
  notice("drifted", now === "complete" && status.drifted ? "The catalogue changed while it was loaded: some tracks may be missing." : "", {
    button: "Load again",
    action: retry,
  });
  notice("invalid", status.invalid ? `Invalid records left out: ${format(status.invalid)}.` : "");
}
