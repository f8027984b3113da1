// A list of which only the visible rows are in the document.

const OVERSCAN = 6;

export class VirtualList {
  items = [];
  active = -1;
  #grid;
  #rows;
  #template;
  #fill;
  #shown = new Map();
  #height;
  #due = 0;

  /**
   * @param grid element that scrolls, with the role of a grid
   * @param rows element inside it that holds the rows
   * @param template template of a row
   * @param fill function that writes an item into a row's element
   */
  constructor(grid, rows, template, fill) {
    this.#grid = grid;
    this.#rows = rows;
    this.#template = template.content.firstElementChild;
    this.#fill = fill;
    this.#height = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
    grid.addEventListener("scroll", () => this.#schedule(), { passive: true });
    new ResizeObserver(() => this.#schedule()).observe(grid);
  }

  get activeItem() {
    return this.items[this.active];
  }

  /** Number of whole rows in sight. */
  get pageSize() {
    return Math.max(1, Math.floor(this.#viewport / this.#height) - 1);
  }

  /** Show other items. The active item stays active where it is among them, else the first one is. */
  show(items) {
    const active = this.activeItem;
    this.items = items;
    this.active = items.length ? Math.max(0, items.indexOf(active)) : -1;
    this.#grid.setAttribute("aria-rowcount", items.length + 1);
    this.#rows.style.height = `${items.length * this.#height}px`;
    this.refresh();
  }

  /** Make an item active and scroll it into sight. */
  activate(index) {
    if (!this.items.length) return;
    this.active = Math.min(Math.max(index, 0), this.items.length - 1);
    const top = this.active * this.#height;
    const { scrollTop } = this.#grid;
    if (top < scrollTop) this.#grid.scrollTop = top;
    else if (top + this.#height > scrollTop + this.#viewport) this.#grid.scrollTop = top + this.#height - this.#viewport;
    this.refresh();
  }

  toTop() {
    this.#grid.scrollTop = 0;
  }

  /** Write every row in the document again. */
  refresh() {
    this.#render(true);
  }

  /** Return the index of the row that contains an element, or -1. */
  indexOf(element) {
    const row = element.closest("[data-index]");
    return row ? Number(row.dataset.index) : -1;
  }

  get #viewport() {
    return this.#grid.clientHeight - this.#rows.offsetTop;
  }

  #schedule() {
    this.#due ||= requestAnimationFrame(() => {
      this.#due = 0;
      this.#render(false);
    });
  }

  #render(all) {
    const first = Math.max(0, Math.floor(this.#grid.scrollTop / this.#height) - OVERSCAN);
    const count = Math.ceil(this.#viewport / this.#height) + 2 * OVERSCAN;
    const last = Math.min(this.items.length, first + count);
    const free = [...this.#shown].filter(([index]) => index < first || index >= last);
    for (const [index] of free) this.#shown.delete(index);
    let place = this.#rows.firstElementChild;
    for (let index = first; index < last; index += 1) {
      let row = this.#shown.get(index);
      const isNew = !row;
      if (isNew) {
        row = free.pop()?.[1] ?? this.#template.cloneNode(true);
        this.#shown.set(index, row);
        this.#place(row, index);
      }
      if (isNew || all) this.#write(row, index);
      // In the document rows stand in their order, as a screen reader reads them.
      if (row === place) place = place.nextElementSibling;
      else this.#rows.insertBefore(row, place);
    }
    for (const [, row] of free) row.remove();
    this.#pointToActive();
  }

  #place(row, index) {
    row.id = `row-${index}`;
    row.dataset.index = index;
    row.style.transform = `translateY(${index * this.#height}px)`;
    row.setAttribute("aria-rowindex", index + 2);
  }

  #write(row, index) {
    const active = index === this.active;
    row.classList.toggle("chosen", active);
    row.setAttribute("aria-selected", active);
    this.#fill(row, this.items[index]);
  }

  #pointToActive() {
    const row = this.#shown.get(this.active);
    if (row) this.#grid.setAttribute("aria-activedescendant", row.id);
    else this.#grid.removeAttribute("aria-activedescendant");
  }
}
