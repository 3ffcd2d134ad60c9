// Page elements.

export const byId = (id) => document.getElementById(id);

/** Make an element; attributes that are null are left out. */
export function make(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) element.setAttribute(name, value);
  }
  element.append(...content.filter((one) => one !== null));
  return element;
}

/** Long names may break between their words, and nowhere else. */
export function breakable(text) {
  const span = document.createElement("span");
  for (const part of text.split(/(?<=[./_:,@-])(?=\w)|(?<=[a-z])(?=[A-Z])/)) {
    span.append(part, document.createElement("wbr"));
  }
  return span;
}

/** A symbol that a screen reader leaves out: the word beside it says the same. */
export const symbol = (text) => make("span", { "aria-hidden": "true" }, `${text} `);

/** Replace a list's items; those with the same data-title keep their open help and the focus. */
export function replaceItems(list, items) {
  const parts = (item) => [...item.querySelectorAll("summary, a, button")];
  const isOpen = (item) => item.querySelector("details")?.open;
  const open = new Set([...list.children].filter(isOpen).map((item) => item.dataset.title));
  const active = [...list.children].find((item) => item.contains(document.activeElement));
  const focus = active && parts(active).indexOf(document.activeElement);
  list.replaceChildren(...items);
  for (const item of items.filter(({ dataset }) => open.has(dataset.title))) {
    item.querySelector("details")?.toggleAttribute("open", true);
  }
  const same = active && items.find(({ dataset }) => dataset.title === active.dataset.title);
  if (same) parts(same)[focus]?.focus();
}

let announced = new Map();

/** Say to screen readers what is new since the last call: pairs of a subject and its state. */
export function announce(subjects) {
  const first = announced.size === 0;
  const news = subjects.filter(([subject, text]) => announced.get(subject) !== text);
  announced = new Map(subjects); // an alert that fires again is news again
  if (!first && news.length) {
    byId("news").textContent = news.map(([subject, text]) => `${subject}: ${text}.`).join(" ");
  }
}
