// Keeps a page fresh: counts remaining times, and fetches the page again to replace what changed in
// the elements that are marked with data-live. Without this script everything works by reloading.
"use strict";
(() => {
  const PERIOD = 5000; // a person sees what a job did while still looking
  const LIVE = "[data-live]:not(#notices)"; // notices alone are no reason to fetch a form again
  const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

  function duration(seconds) {
    const parts = [];
    for (const [name, size] of UNITS) {
      const count = Math.floor(seconds / size);
      seconds -= count * size;
      if (count) parts.push(`${count} ${name}`);
      else if (parts.length) break;
      if (parts.length === 2) break;
    }
    return parts.join(" ") || "0 s";
  }

  function count() {
    for (const time of document.querySelectorAll("time[data-left]")) {
      if (!time.dateTime) continue; // nobody knows
      const left = (Date.parse(time.dateTime) - Date.now() - offset) / 1000;
      const text = left > 0 ? `in ${duration(Math.ceil(left))}`
        : left <= -1 ? `${duration(Math.floor(-left))} ago` : "just now";
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // what a person is busy with is left alone: a text that is marked, a menu or a field in use
  function isBusy(region) {
    const active = document.activeElement;
    const selection = document.getSelection();
    return region.querySelector("details[open]") !== null
      || (region.contains(active) && active.matches("input, select, textarea"))
      || (selection !== null && !selection.isCollapsed && region.contains(selection.anchorNode));
  }

  function plain(region) {
    const copy = region.cloneNode(true);
    for (const time of copy.querySelectorAll("time[data-left]")) time.textContent = "";
    for (const meter of copy.querySelectorAll("meter")) meter.removeAttribute("value");
    copy.classList.remove("is-fresh");
    return copy.innerHTML;
  }

  function replace(old, fresh) {
    const active = old.contains(document.activeElement) ? document.activeElement : null;
    const href = active && active.getAttribute("href");
    const id = active && active.id;
    const node = document.importNode(fresh, true);
    node.classList.add("is-fresh");
    old.replaceWith(node);
    const again = id ? document.getElementById(id)
      : href ? [...node.querySelectorAll("a")].find((one) => one.getAttribute("href") === href) : null;
    if (again) again.focus({ preventScroll: true });
  }

  async function refresh() {
    if (document.hidden) return;
    const answer = await fetch(location.href, { headers: { "Connector-Live": "1" }, credentials: "same-origin" });
    if (answer.status === 401) return location.reload(); // signed out: it leads to where one signs in
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const old of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(old.id);
      if (fresh && !isBusy(old) && plain(fresh) !== plain(old)) replace(old, fresh);
    }
    count();
  }

  let offset = 0; // of the server's clock: what it wrote a moment ago says "now" by it
  const state = document.querySelector("[data-live-state]");
  const written = document.querySelector("body[data-now]");
  if (written) offset = Number(written.dataset.now) * 1000 - Date.now();
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
      button.textContent = "Copied";
    });
  }
  count();
  setInterval(count, 1000);
  if (state && document.querySelector(LIVE)) {
    state.hidden = false;
    setInterval(() => refresh().then(
      () => { state.textContent = "Live"; },
      () => { state.textContent = "Not live: the daemon does not answer"; },
    ), PERIOD);
  }
})();
