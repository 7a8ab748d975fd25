// Server-sent events out of a fetch response, by the WHATWG rules. EventSource itself can only GET.

/** Yields `{event, data}` for each event of a byte stream, whatever way it is cut into pieces. */
export async function* readEvents(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  let event = "";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      pending += value ?? "";
      // A carriage return at the end may be half of a CRLF: keep it until the rest arrives.
      const lines = pending.split(done ? /\r\n|\r|\n/ : /\r\n|\n|\r(?!$)/);
      pending = done ? "" : lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (data.length) yield { event: event || "message", data: data.join("\n") };
          event = "";
          data = [];
          continue;
        }
        const colon = line.indexOf(":");
        if (colon === 0) continue; // a comment, sent to keep the connection open
        const field = colon < 0 ? line : line.slice(0, colon);
        const text = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (field === "event") event = text;
        else if (field === "data") data.push(text);
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
