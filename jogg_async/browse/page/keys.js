// Keys of the whole page. Fields, buttons and sliders keep those of their own.

const FIELD = "input:not([type=range]), select, textarea";
const CONTROL = "button, a, input, select";

/**
 * Listen to the keys of the page.
 * @param grid the grid, which is focused before a track is chosen
 * @param search the search field
 * @param help the dialog with the keys
 * @param actions functions by name: move(by), page(by), first(), last(), play(), next(), previous(), skip(seconds),
 *   copy(), open(), mute(), clearSearch()
 */
export function listen({ grid, search, help, actions }) {
  const inList = (action) => () => {
    grid.focus({ preventScroll: true });
    action();
  };
  const anywhere = {
    "/": () => search.select(),
    "?": () => help.showModal(),
    n: actions.next,
    p: actions.previous,
    c: actions.copy,
    o: actions.open,
    m: actions.mute,
  };
  const outsideControls = {
    " ": inList(actions.play),
    Enter: inList(actions.copy),
    ArrowDown: inList(() => actions.move(1)),
    ArrowUp: inList(() => actions.move(-1)),
    ArrowRight: () => actions.skip(5),
    ArrowLeft: () => actions.skip(-5),
    PageDown: inList(() => actions.page(1)),
    PageUp: inList(() => actions.page(-1)),
    Home: inList(actions.first),
    End: inList(actions.last),
    Escape: () => grid.focus({ preventScroll: true }),
  };
  const inSearch = {
    Escape: () => (search.value ? actions.clearSearch() : grid.focus({ preventScroll: true })),
    ArrowDown: inList(() => actions.move(0)),
    Enter: inList(() => actions.move(0)),
  };

  function actionOf(event) {
    if (event.target === search) return inSearch[event.key];
    if (event.target.closest(FIELD)) return event.key === "Escape" ? outsideControls.Escape : undefined;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (Object.hasOwn(anywhere, key)) return anywhere[key];
    return event.target.closest(CONTROL) && key !== "Escape" ? undefined : outsideControls[key];
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help.open) return;
    const action = actionOf(event);
    if (!action) return;
    event.preventDefault();
    action();
  });
}
