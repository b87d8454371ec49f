// Swaps the page's content for a fresh one every ten seconds. Everything works
// without this file; the page then reloads itself every thirty.
"use strict";
(() => {
  const every = 10000;
  const main = document.getElementById("main");
  const live = document.getElementById("live");
  const pause = document.getElementById("pause");
  const announce = document.getElementById("announce");
  let paused = false;

  // What somebody is typing, opening or pressing must not vanish under them.
  const busy = () => {
    const at = document.activeElement;
    return document.hidden || (main.contains(at) && /^(INPUT|SELECT|BUTTON)$/.test(at.tagName)) || String(getSelection()) !== "";
  };

  const swap = (html) => {
    const next = new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
    const now = main.firstElementChild;
    const at = document.activeElement;
    const link = main.contains(at) && at.getAttribute("href");
    const region = main.contains(at) && at.getAttribute("aria-label");
    const scrolls = [...main.querySelectorAll(".scroll")].map((e) => e.scrollLeft);
    if (next.dataset.alert !== now.dataset.alert) announce.textContent = next.dataset.alert;
    now.replaceWith(document.adoptNode(next));
    main.querySelectorAll(".scroll").forEach((e, i) => { e.scrollLeft = scrolls[i] || 0; });
    if (link) main.querySelector(`a[href="${CSS.escape(link)}"]`)?.focus({ preventScroll: true });
    else if (region) main.querySelector(`[aria-label="${CSS.escape(region)}"]`)?.focus({ preventScroll: true });
  };

  const refresh = async () => {
    if (paused || busy()) return;
    try {
      const res = await fetch(location.href, { headers: { "X-Fragment": "1" }, redirect: "error" });
      if (res.status === 401) { location.reload(); return; }
      if (!res.ok) throw new Error(res.status);
      swap(await res.text());
      live.textContent = "live, " + new Date().toISOString().slice(11, 19) + " UTC";
      live.className = "now on";
    } catch {
      live.textContent = "not live: the Centre does not answer";
      live.className = "now off";
    }
  };

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", paused);
    pause.textContent = paused ? "Resume" : "Pause";
    if (paused) { live.textContent = "paused"; live.className = "now"; } else refresh();
  });
  setInterval(refresh, every);
})();
