// Streams a summary into the page. Without this script the form works too: it waits, and loads the page again.

for (const form of document.querySelectorAll("form[data-stream]")) {
  const text = document.getElementById(form.dataset.stream);
  const [start, stop] = form.querySelectorAll("button");
  let reading = null;

  stop.addEventListener("click", () => reading?.abort());
  form.addEventListener("submit", async (submitted) => {
    submitted.preventDefault();
    reading = new AbortController();
    start.disabled = true;
    stop.hidden = false;
    text.textContent = "";
    text.classList.remove("failed");
    text.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        headers: { accept: "text/event-stream" },
        signal: reading.signal,
      });
      if (!answer.ok) throw new Error(await answer.text());
      for await (const { name, data } of events(answer.body)) {
        if (name === "message") text.textContent += data.text;
        if (name === "error") throw new Error(data.message);
      }
      start.textContent = "Summarise again";
    } catch (error) {
      if (error.name !== "AbortError") {
        text.textContent = error.message;
        text.classList.add("failed");
      }
    } finally {
      text.removeAttribute("aria-busy");
      start.disabled = false;
      stop.hidden = true;
    }
  });
}

for (const time of document.querySelectorAll("time")) {
  const at = new Date(time.dateTime.replace(" ", "T"));
  time.textContent = at.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(frame);
      yield { name, data: JSON.parse(data) };
    }
  }
}
