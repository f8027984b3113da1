// What the page tells: notices above the list, a toast, and announcements for screen readers.

const toast = document.getElementById("toast");
const announcer = document.getElementById("announcer");
const notices = document.getElementById("notices");
const template = document.getElementById("notice-template");
const shown = new Map();
let hiding = 0;

/**
 * Show, change or (without a text) remove the notice of a name. A new one is announced, a changed one is not: a
 * countdown would never stop talking.
 */
export function notice(name, text, { advice = "", detail = "", danger = false, button = "", action = null } = {}) {
  let element = shown.get(name);
  if (!text) {
    element?.remove();
    shown.delete(name);
    return;
  }
  if (!element) {
    element = template.content.firstElementChild.cloneNode(true);
    notices.append(element);
    shown.set(name, element);
    announce(`${text} ${advice}`);
  }
  element.classList.toggle("danger", danger);
  setText(element.querySelector(".what"), text);
  setText(element.querySelector(".advice"), advice);
  setText(element.querySelector(".detail"), detail);
  setText(element.querySelector("button"), button);
  element.querySelector("button").onclick = action;
}

/** Show a short text for two seconds; screen readers say it. */
export function showToast(text) {
  toast.textContent = text;
  toast.classList.add("shown");
  clearTimeout(hiding);
  hiding = setTimeout(() => toast.classList.remove("shown"), 2000);
}

/** Have screen readers say a text. */
export function announce(text) {
  announcer.textContent = text;
}

/** Set an element's text, if it is another: a button that is written anew would lose a click. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
