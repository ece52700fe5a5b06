// Streams an answer into the page. Without this script the form works too: it waits, and loads the page again.

const form = document.getElementById("ask");
const turns = document.getElementById("turns");
const stop = document.getElementById("stop");
const [ask] = form.querySelectorAll("button");
let reading = null;

show(turns.lastElementChild);

stop.addEventListener("click", () => reading?.abort());
form.addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const body = new FormData(form); // with Django's CSRF token
  const turn = document.getElementById("turn").content.firstElementChild.cloneNode(true);
  const [question, answer, told] = turn.children;
  question.textContent = body.get("text");
  turns.append(turn);
  show(turn);
  form.elements.text.value = "";
  reading = new AbortController();
  let unseen = "";
  const write = (text) => {
    if (!unseen) requestAnimationFrame(() => { // once for each picture, however fast words come
      answer.append(unseen);
      unseen = "";
      show(turn);
    });
    unseen += text;
  };
  ask.disabled = true;
  stop.hidden = false;
  try {
    const response = await fetch(form.action, {
      method: "POST",
      headers: { accept: "text/event-stream" },
      body,
      signal: reading.signal,
    });
    if (response.redirected) return location.assign(response.url); // to sign in again
    if (!response.ok) throw new Error(response.status === 422 ? await response.text() : "This page is too old: load it again.");
    for await (const { name, data } of events(response.body)) {
      if (name === "books") told.append(...data.map(link));
      if (name === "word") write(data);
      if (name === "error") throw new Error(data);
    }
    document.getElementById("forget").hidden = false;
  } catch (error) {
    if (error.name === "AbortError") {
      write(" …");
    } else {
      unseen = "";
      answer.textContent = error.message;
      answer.classList.add("failed");
    }
  } finally {
    answer.removeAttribute("aria-busy");
    ask.disabled = false;
    stop.hidden = true;
  }
});

function show(turn) {
  turn?.scrollIntoView({ block: "nearest" });
}

function link({ title, url }) {
  const made = document.createElement("a");
  made.href = url;
  made.textContent = title;
  return made;
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
