// Keeps an open page fresh. Everything works without it: whoever loads the page anew sees the same.
(() => {
  "use strict";

  // How long ago something was grows while the page is open; by the clock of the server, as this one may be wrong.
  const skew = Date.parse(document.body.dataset.now) - Date.now() || 0;
  const spans = [[90, 1, "second"], [5400, 60, "minute"], [129600, 3600, "hour"], [Infinity, 86400, "day"]];
  const age = (at) => {
    const seconds = Math.round((Date.now() + skew - at) / 1000);
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

  // What the server said of each part, as the page itself may have changed it since.
  const parts = (root) => [...root.querySelectorAll("[data-live]")];
  // Ages apart: they grow by themselves.
  const said = (part) => {
    const copy = part.cloneNode(true);
    for (const shown of copy.querySelectorAll("[data-age]")) shown.textContent = "";
    return copy.outerHTML;
  };
  const received = new Map(parts(document).map((part) => [part.dataset.live, said(part)]));
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

  // The way to an element from one above it, by the places of children.
  const way = (top, element) => {
    const steps = [];
    for (let at = element; at !== top; at = at.parentElement) steps.unshift([...at.parentElement.children].indexOf(at));
    return steps;
  };
  const follow = (top, steps) => steps.reduce((at, step) => at?.children[step], top);

  // Whoever is on a link or a button stays on it, though another one takes its place, and nothing jumps.
  const replace = (shown, next) => {
    const active = shown.contains(document.activeElement) ? document.activeElement : null;
    const place = document.importNode(next, true);
    for (const open of shown.querySelectorAll("details[open][id]")) {
      const same = place.querySelector(`#${CSS.escape(open.id)}`);
      if (same) same.open = true;
    }
    const steps = active && way(shown, active);
    const scrolled = [...shown.querySelectorAll(".scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
    shown.replaceWith(place);
    offer(place);
    [...place.querySelectorAll(".scroll")].forEach((box, number) => {
      if (scrolled[number]) box.scrollTo(...scrolled[number]);
    });
    if (active && active !== document.body) {
      const href = active.getAttribute("href");
      const same = active.id ? `#${CSS.escape(active.id)}` : href && `a[href="${CSS.escape(href)}"]`;
      const found = (same && place.querySelector(same)) || follow(place, steps);
      if (found?.tagName === active.tagName) found.focus({ preventScroll: true });
    }
  };

  // Whether somebody fills something in: then the form stays.
  const isChanged = (field) => field === document.activeElement || (field.options
    ? field.selectedIndex !== Math.max(0, [...field.options].findIndex((option) => option.defaultSelected))
    : field.value !== field.defaultValue);
  const isFilledIn = () => {
    const fields = [...document.querySelectorAll("main :is(input:not([type=hidden]), select)")];
    return document.querySelector("main details[open] input") !== null || fields.some(isChanged);
  };

  // Takes what changed from the page as it is now. Returns whether all of it was taken.
  const take = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const next = new Map(parts(fresh).map((part) => [part.dataset.live, part]));
    const names = (root) => parts(root).map((part) => part.dataset.live).join("\n");
    // Something appeared, went away or moved, as a hold does, or a customer who is held.
    const isOther = names(document) !== names(fresh);
    if (isOther && !isFilledIn()) {
      replace(document.getElementById("main"), fresh.getElementById("main"));
      received.clear();
      next.forEach((part, name) => received.set(name, said(part)));
      return true;
    }
    for (const shown of parts(document)) {
      const name = shown.dataset.live;
      const part = next.get(name);
      if (!part || said(part) === received.get(name)) continue;
      received.set(name, said(part));
      replace(shown, part);
    }
    return !isOther;
  };

  let source = null;
  let due = null;
  let last = 0;
  let failures = 0;
  const refresh = async () => {
    due = null;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { "Intake-Refresh": "1" }, cache: "no-store" });
      if (answer.status === 401) return location.reload();
      if (!answer.ok) throw new Error(answer.statusText);
      failures = 0;
      // What did not fit beside a form that somebody fills in is taken when they are done.
      if (!take(await answer.text())) soon(5000);
      if (source?.readyState === EventSource.OPEN) tell(true, "Live.");
    } catch {
      tell(false, "Not live: the controller does not answer. Trying again.");
      failures += 1;
      soon(Math.min(60000, 2000 * 2 ** failures));
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
      soon(300);
    },
    customerChanged: () => soon(300),
    treeRead: () => soon(1200),
    missed: () => soon(1200),
  };

  // A page that nobody sees listens to nothing: a browser has few connections to one server, and every page
  // of it that listens takes one.
  let closures = 0;
  const listen = () => {
    if (source) return;
    source = new EventSource(stream);
    source.addEventListener("open", () => {
      closures = 0;
      // What happened between the page and its stream was told to nobody.
      soon(1200);
    });
    source.addEventListener("error", () => {
      tell(false, "Not live: trying again.");
      // A stream that broke off comes back by itself; one that was refused does not.
      if (source.readyState !== EventSource.CLOSED) return;
      rest();
      closures += 1;
      setTimeout(() => document.hidden || listen(), Math.min(60000, 5000 * 2 ** closures));
      // Whoever is signed out is sent to sign in.
      soon(0);
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
