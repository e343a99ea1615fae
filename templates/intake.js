// Keeps an open page fresh. Everything works without it: whoever loads the page anew sees the same.
(() => {
  "use strict";

  // How long ago something was grows while the page is open.
  const spans = [[90, 1, "second"], [5400, 60, "minute"], [129600, 3600, "hour"], [Infinity, 86400, "day"]];
  const age = (at) => {
    const seconds = Math.round((Date.now() - at) / 1000);
    if (Math.abs(seconds) <= 5) return "just now";
    const [, unit, name] = spans.find(([end]) => Math.abs(seconds) < end);
    const count = Math.round(Math.abs(seconds) / unit);
    const words = `${count} ${name}${count === 1 ? "" : "s"}`;
    return seconds > 0 ? `${words} ago` : `in ${words}`;
  };
  const tick = () => {
    for (const time of document.querySelectorAll("time")) {
      const shown = time.querySelector("[data-age]");
      const at = Date.parse(time.dateTime);
      if (shown && !Number.isNaN(at)) shown.textContent = age(at);
    }
  };
  setInterval(tick, 20000);

  // Lines to commit may be copied where the browser lets a page do that.
  const offer = (root) => {
    if (!navigator.clipboard) return;
    for (const button of root.querySelectorAll("[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        const lines = document.getElementById(button.dataset.copy);
        await navigator.clipboard.writeText(lines.textContent + "\n");
        button.textContent = "Copied";
      });
    }
  };
  offer(document);

  const stream = document.body.dataset.stream;
  if (stream === undefined || !window.EventSource) return;

  const announce = (words) => { document.getElementById("announce").textContent = words; };
  const word = document.querySelector("[data-live-word]");
  const tell = (is, words) => {
    word.hidden = false;
    word.textContent = words;
    word.classList.toggle("is-off", !is);
  };

  // Whoever is on a link or a button stays on it, though another one takes its place.
  const replace = (shown, next) => {
    const active = shown.contains(document.activeElement) ? document.activeElement : null;
    const place = document.importNode(next, true);
    for (const open of shown.querySelectorAll("details[open][id]")) {
      const same = place.querySelector(`#${CSS.escape(open.id)}`);
      if (same) same.open = true;
    }
    shown.replaceWith(place);
    offer(place);
    if (active && active !== document.body) {
      const href = active.getAttribute("href");
      const same = active.id ? `#${CSS.escape(active.id)}` : href && `a[href="${CSS.escape(href)}"]`;
      if (same) place.querySelector(same)?.focus({ preventScroll: true });
    }
  };

  // Takes what changed from the page as it is now. What somebody fills in stays as it is.
  const take = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const parts = (root) => [...root.querySelectorAll("[data-live]")];
    const names = (root) => parts(root).map((part) => part.dataset.live).join("\n");
    if (names(document) !== names(fresh)) {
      // Something appeared, went away or moved, as a hold does, or a customer who is held.
      const isFilledIn = document.querySelector("main :is(input, select):focus, main details[open] input");
      if (!isFilledIn) replace(document.getElementById("main"), fresh.getElementById("main"));
      return;
    }
    const next = parts(fresh);
    parts(document).forEach((shown, place) => {
      if (shown.outerHTML !== next[place].outerHTML) replace(shown, next[place]);
    });
  };

  let due = null;
  let last = 0;
  const refresh = async () => {
    due = null;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { "Intake-Refresh": "1" }, cache: "no-store" });
      if (answer.status === 401) location.reload();
      if (answer.ok) take(await answer.text());
    } catch {
      tell(false, "Not live: the controller does not answer.");
    }
  };
  // Of a large fleet something happens all the time.
  const pause = stream.includes("customer=") ? 300 : 2000;
  const soon = (wait) => { due ??= setTimeout(refresh, Math.max(wait, last + pause - Date.now())); };

  const isOfOne = stream.includes("customer=");
  const heard = {
    turnBegan: (happened) => {
      if (isOfOne) announce(`${happened.customer}: syncing`);
      soon(300);
    },
    turnReads: (happened) => {
      const shown = document.querySelector(`[data-progress="${CSS.escape(happened.customer)}"]`);
      if (!shown) return soon(1000);
      shown.textContent = `Syncing: ${happened.objects.toLocaleString("en")} objects read`;
    },
    turnEnded: (happened) => {
      if (isOfOne) announce(`${happened.customer}: ${happened.state ?? "the turn failed"}`);
      // The fleet's view is a second old at the most.
      soon(1200);
    },
    treeRead: () => soon(1200),
    missed: () => soon(1200),
  };

  // A page that nobody sees listens to nothing: a browser has few connections to one server, and every page
  // of it that listens takes one.
  let source = null;
  const listen = () => {
    if (source) return;
    source = new EventSource(stream);
    source.addEventListener("open", () => {
      tell(true, "Live.");
      // What happened between the page and its stream was told to nobody.
      soon(1200);
    });
    source.addEventListener("error", () => {
      const isOver = source.readyState === EventSource.CLOSED;
      tell(false, isOver ? "Not live: load the page anew to see what changed." : "Not live: trying again.");
      // Whoever is signed out is sent to sign in.
      if (isOver) soon(0);
    });
    for (const [name, hear] of Object.entries(heard)) {
      source.addEventListener(name, (event) => hear(JSON.parse(event.data)));
    }
  };
  const rest = () => {
    source?.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
  if (!document.hidden) listen();
})();
