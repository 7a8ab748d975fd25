// The text of a document cut into blocks to be shown. The blocks, put together, are the text to the character:
// what is set aside for the eye (fences, asterisks, line ends of wrapped paragraphs) is hidden, never taken out.

const FENCE = /^[ \t>]*(`{3,}|~{3,})/;
const TABLE_ROW = /^[ \t>]*\|/;
const ITEM = /^[ \t>]*(?:[-*+]|\d{1,3}[.)])[ \t]+\S/;
const QUOTED = /^[ \t]*>/;
const BLANK = /^[ \t]*\n?$/;
const INLINE = /(`)([^`\n]+)`|(\*\*)(?=\S)([^*]+?)\*\*|\[([^\]]+)\](\((?!https?:)[^)\s]*\))/g;
const HEADING_MARKS = /^#{1,6}[ \t]+/;
const WRAPPED_FROM = 50; // a paragraph whose lines are all longer, but the last, was wrapped by an editor

/**
 * Blocks `{kind, start, end, level, depth, gap, wrapped, heading}`; kinds are heading, code, table, item, quote and prose.
 * `headings` are `{start, end, level}` in order; `depth` counts levels of indentation; `gap`: blank lines follow.
 */
export function blocksOf(text, headings) {
  const blocks = [];
  let fence = null;
  let next = 0; // the next heading
  for (let start = 0, end; start < text.length; start = end) {
    const newline = text.indexOf("\n", start);
    end = newline < 0 ? text.length : newline + 1;
    const line = text.slice(start, end);
    const last = blocks.at(-1);
    while (next < headings.length && headings[next].end <= start) next += 1;
    const heading = headings[next]?.start < end ? headings[next] : undefined;
    const opened = fence;
    const marker = FENCE.exec(line)?.[1];
    if (fence && marker?.[0] === fence[0] && marker.length >= fence.length) fence = null;
    else if (!fence && !heading && marker) fence = marker;
    const kind = opened || fence ? "code" : kindOf(line, heading);
    if (kind === "blank") {
      if (last) Object.assign(last, { end, gap: true });
      else blocks.push({ kind: "prose", start, end, depth: 0, level: 0 });
    } else if (last && !last.gap && goesOn(last, kind, heading) && !(kind === "code" && !opened)) last.end = end;
    else if (last && last.kind === "code" && opened) Object.assign(last, { end, gap: false });
    else blocks.push({ kind, start, end, level: heading?.level ?? 0, depth: depthOf(line), gap: false, heading });
  }
  for (const block of blocks) block.wrapped = isWrapped(text.slice(block.start, block.end));
  return blocks;
}

function kindOf(line, heading) {
  if (BLANK.test(line)) return "blank";
  if (heading) return "heading";
  if (TABLE_ROW.test(line)) return "table";
  if (ITEM.test(line)) return "item";
  return QUOTED.test(line) ? "quote" : "prose";
}

function goesOn(last, kind, heading) {
  if (kind === "item") return false;
  if (last.kind === "item" || last.kind === "quote") return kind === "prose" || (kind === "quote" && last.kind === "quote");
  return last.kind === kind && last.heading === heading;
}

const depthOf = (line) => Math.min(3, Math.ceil(/^[ \t]*/.exec(line)[0].length / 4));

function isWrapped(body) {
  const lines = body.trimEnd().split("\n");
  return lines.length > 1 && lines.slice(0, -1).every((line) => line.length >= WRAPPED_FROM);
}

/** Runs of a block `{start, end, style}` where it is more than plain: hidden marks, `code`, **bold**. */
export function stylesOf(text, block) {
  const body = text.slice(block.start, block.end);
  const run = (from, length, style) => ({ start: block.start + from, end: block.start + from + length, style });
  const tail = body.trimEnd().length;
  const trailing = tail < body.length ? [run(tail, body.length - tail, "marks")] : [];
  if (block.kind === "heading") {
    const marks = HEADING_MARKS.exec(body);
    return [...(marks ? [run(0, marks[0].length, "marks")] : []), ...trailing];
  }
  if (block.kind === "code") return [...fenceRuns(body).map(([from, length]) => run(from, length, "marks")), ...trailing];
  if (block.kind === "table") return trailing;
  const inline = [...body.matchAll(INLINE)].flatMap((match) => {
    if (match[6]) {
      const words = match[5].length;
      return [run(match.index, 1, "marks"), run(match.index + 1 + words, match[6].length + 1, "marks")];
    }
    const width = (match[1] ?? match[3]).length;
    const inner = match[0].length - 2 * width;
    return [
      run(match.index, width, "marks"),
      run(match.index + width, inner, match[1] ? "inline-code" : "strong"),
      run(match.index + width + inner, width, "marks"),
    ];
  });
  return [...inline, ...trailing];
}

/** What a fenced block has around its code as [from, length]: the two fences, and the indentation of the first. */
function fenceRuns(body) {
  const lines = body.trimEnd().split("\n");
  if (!FENCE.test(body)) return [];
  const indent = /^[ \t]*/.exec(body)[0];
  const found = [];
  let from = 0;
  lines.forEach((line, index) => {
    const isLast = index === lines.length - 1;
    if (index === 0) found.push([0, line.length + 1]);
    else if (isLast && FENCE.test(line)) found.push([from - 1, line.length + 1]);
    else if (indent && line.startsWith(indent)) found.push([from, indent.length]);
    from += line.length + 1;
  });
  return found;
}
