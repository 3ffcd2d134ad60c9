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

/** Replace a list's items; those with the same title keep their open help and the focus. */
export function replaceItems(list, items) {
  const title = (item) => item?.querySelector("h3")?.textContent;
  const open = new Set(
    [...list.children].filter((item) => item.querySelector("details")?.open).map(title),
  );
  const active = document.activeElement;
  const focus = list.contains(active) ? title(active.closest("li")) : undefined;
  list.replaceChildren(...items);
  for (const item of items) {
    if (open.has(title(item))) item.querySelector("details").open = true;
    if (focus && focus === title(item)) item.querySelector("summary, a")?.focus();
  }
}

let announced = new Map();

/** Say to screen readers what is new since the last call: a map from a subject to its state. */
export function announce(subjects) {
  const first = announced.size === 0;
  const news = [...subjects].filter(([subject, text]) => announced.get(subject) !== text);
  announced = new Map([...announced, ...subjects]);
  if (!first && news.length) {
    byId("news").textContent = news.map(([subject, text]) => `${subject}: ${text}.`).join(" ");
  }
}
