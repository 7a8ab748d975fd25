// Spans count Unicode code points; JavaScript strings count UTF-16 units. An emoji is one of the first, two of the second.

/** A function from offsets in code points to offsets in `text`. O(length) once, then O(log emoji) for each offset. */
export function offsetsOf(text) {
  const wide = []; // for the n-th character outside the basic plane: its place in code points
  for (const match of text.matchAll(/[\u{10000}-\u{10ffff}]/gu)) wide.push(match.index - wide.length);
  return (codePoints) => {
    let low = 0;
    let high = wide.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (wide[middle] < codePoints) low = middle + 1;
      else high = middle;
    }
    return Math.min(codePoints + low, text.length);
  };
}

/** Spans of a text as `{start, end}` in UTF-16 units, in order, without the empty ones; overlapping ones are joined. */
export function unitSpans(text, spans, origin = 0) {
  const at = offsetsOf(text);
  const found = spans
    .map(({ start, end }) => ({ start: at(Math.max(0, start - origin)), end: at(Math.max(0, end - origin)) }))
    .filter(({ start, end }) => start < end)
    .sort((one, other) => one.start - other.start);
  const joined = [];
  for (const span of found) {
    const last = joined.at(-1);
    if (last && span.start <= last.end) last.end = Math.max(last.end, span.end);
    else joined.push(span);
  }
  return joined;
}
