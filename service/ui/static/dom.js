// Elements without markup: what comes from a document or a model only ever becomes text.

/** An element. Attributes by name, `on…` as listeners; false, null and undefined leave an attribute, or a child, out. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Text that only a screen reader reads. */
export const spoken = (text) => el("span", { class: "sr-only" }, text);

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString()} ${count === 1 ? one : many}`;
}

/** `2026-02-17T…` as `17 Feb 2026` in the reader's language, or nothing. */
export function shortDate(iso) {
  const date = new Date(iso ?? "");
  if (Number.isNaN(date.getTime())) return null;
  const words = date.toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
  return el("time", { datetime: iso }, words);
}

/** The last two parts of a document's address: enough to recognise a file. */
export function shortUri(uri) {
  const parts = (uri ?? "").split(/[?#]/)[0].split("/").filter(Boolean);
  try {
    return decodeURIComponent(parts.slice(-2).join("/"));
  } catch {
    return parts.slice(-2).join("/");
  }
}

/** Put text on the clipboard and say so on the button. Works without a secure context too. */
export async function copy(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = el("textarea", { class: "sr-only" });
    field.value = text;
    button.after(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    button.focus();
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1600);
}
