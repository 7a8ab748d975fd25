// Showing the same thing again without flicker: elements stay, only what differs is written, and the focus is kept.

/** Write a text where it is another one. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set an attribute, or take it away with null, where that changes something. */
export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** A list whose entries stay the same elements as long as they have the same key. An entry has an `element`. */
export class Keyed {
  constructor(list, make) {
    this.list = list;
    this.make = make;
    this.entries = new Map();
  }

  show(items, keyOf, update) {
    const left = new Map(this.entries);
    let place = this.list.firstElementChild;
    for (const item of items) {
      const key = keyOf(item);
      let entry = this.entries.get(key);
      if (!entry) this.entries.set(key, (entry = this.make(item)));
      left.delete(key);
      update(entry, item);
      if (entry.element === place) place = place.nextElementSibling;
      else this.list.insertBefore(entry.element, place);
    }
    for (const [key, entry] of left) {
      entry.element.remove();
      this.entries.delete(key);
    }
  }
}

const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]];
const words = new Intl.RelativeTimeFormat("en", { numeric: "always" });

/** `3 minutes ago`, `in 2 hours`, `now`; an empty text if there is no such moment. */
export function fromNow(iso, now) {
  if (!iso) return "";
  const seconds = (Date.parse(iso) - now) / 1000;
  if (Math.abs(seconds) < 2) return "now";
  const [unit, length] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  return words.format(Math.round(seconds / length), unit);
}

/** `about 3 min`, as an estimate. */
export function span(seconds) {
  if (seconds < 90) return `about ${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min`;
  return `about ${Math.round(seconds / 3600)} h`;
}
