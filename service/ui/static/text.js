// Text of answers and snippets as elements: fenced blocks, tables, `code` and **bold**. Never as HTML.

import { copy, el } from "./dom.js";

const FENCE = /^([ \t>]*)(`{3,}|~{3,})[^\n]*\n([\s\S]*?)(?:\n?^[ \t>]*\2[`~]*[ \t]*$|(?![\s\S]))/gm;
const TABLE = /^[ \t]*\|[^\n]*(?:\n[ \t]*\|[^\n]*)+/gm;
const INLINE = /`([^`\n]+)`|\*\*(?=\S)([^*]+?)\*\*|\[([^\]\n]+)\]\((?!https?:)[^)\s]*\)/g;

/** The parts of a text: `{kind: "code" | "table" | "prose", text}`, in order, without the fences themselves. */
export function parts(text) {
  return cut(text, FENCE, (match) => ({ kind: "code", text: outdent(match[3], match[1]) })).flatMap((part) =>
    part.kind === "prose" ? cut(part.text, TABLE, (match) => ({ kind: "table", text: match[0] })) : [part],
  );
}

function cut(text, pattern, piece) {
  const found = [];
  let from = 0;
  const prose = (until) => {
    const body = text.slice(from, until).replace(/^\s*\n|\n\s*$/g, "");
    if (body.trim()) found.push({ kind: "prose", text: body });
  };
  for (const match of text.matchAll(pattern)) {
    prose(match.index);
    found.push(piece(match));
    from = match.index + match[0].length;
  }
  prose(text.length);
  return found;
}

/** A block without the indentation that its fence has: what a shell wants to be given. */
function outdent(body, indent) {
  const width = indent.length;
  const lines = body.split("\n");
  return lines.map((line) => (/^[ \t>]*$/.test(line.slice(0, width)) ? line.slice(width) : line)).join("\n");
}

/** A text as elements, ready to be appended. */
export function render(text) {
  return parts(text).map((part) => {
    if (part.kind === "code") return codeBlock(part.text);
    if (part.kind === "table") return el("pre", { class: "table", tabindex: "0", "aria-label": "Table" }, part.text);
    return el("div", { class: "prose" }, inline(unwrapped(part.text)));
  });
}

/** The text with lines joined that an editor broke: long ones before a line that is neither blank nor an item. */
function unwrapped(text) {
  return text.replace(/([^\n]{50,})\n(?=\S)(?!(?:[-*+]|\d{1,3}[.)])[ \t])/g, "$1 ");
}

/** `code`, **bold** and the words of links within the documents (which lead nowhere from here) as nodes. */
function inline(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    nodes.push(text.slice(from, match.index));
    if (match[1] !== undefined) nodes.push(el("code", {}, match[1]));
    else nodes.push(match[2] === undefined ? match[3] : el("strong", {}, match[2]));
    from = match.index + match[0].length;
  }
  nodes.push(text.slice(from));
  return nodes;
}

function codeBlock(code) {
  const button = el("button", { type: "button", class: "copy", onclick: () => copy(code, button) }, "Copy");
  return el("div", { class: "code" }, el("pre", { tabindex: "0", "aria-label": "Commands or code" }, el("code", {}, code)), button);
}

const HIDDEN = "\u200c"; // takes the place of a character that is only a mark: offsets stay right
const MARKS = [
  [/^[ \t>]*(?:`{3,}|~{3,})[^\n]*$/gm, " "],
  [/^[ \t]*\|(?:[ \t]*:?-{3,}:?[ \t]*\|)+[ \t]*$/gm, " "],
  [/^[ \t>]*#{1,6}[ \t]/gm, HIDDEN],
  [/^[ \t]*>[ \t]?/gm, HIDDEN],
  [/\*\*|`/g, HIDDEN],
];

/** An excerpt to be shown in a few running lines: Markdown's marks give way to as many characters that do not show. */
export function tidy(text) {
  const flat = MARKS.reduce((body, [pattern, filler]) => body.replace(pattern, (match) => filler.repeat(match.length)), text);
  const unlinked = flat.replace(/\[([^\]\n]+)\](\((?!https?:)[^)\s]*\))/g, (_, words, target) =>
    HIDDEN + words + HIDDEN.repeat(target.length + 1));
  return unlinked.replace(/^[ \t]*\|[^\n]*$/gm, (row) => row.replace(/^([ \t]*)\||\|([ \t]*)$/g, " $1$2").replaceAll("|", "·"));
}

/** A text with some of its spans (UTF-16 units, in order) marked. */
export function marked(text, spans) {
  const nodes = [];
  let from = 0;
  for (const { start, end } of spans) {
    nodes.push(text.slice(from, start), el("mark", {}, text.slice(start, end)));
    from = end;
  }
  nodes.push(text.slice(from));
  return nodes;
}
